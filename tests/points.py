"""A list of things to show, one printed line each, for runs that are too heavy or too long for pytest."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterator


class Points:
    """Counts what held and what did not. A failed point does not stop the others."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    @contextlib.contextmanager
    def point(self, name: str) -> Iterator[None]:
        """Run the block as one point: it holds when nothing is raised."""
        begun = time.monotonic()
        try:
            yield
        except Exception:
            self.failed += 1
            print(f"FAILED  {name}", flush=True)
            traceback.print_exc()
        else:
            self.passed += 1
            print(f"ok      {name} ({time.monotonic() - begun:.1f} s)", flush=True)

    def close(self) -> int:
        """Print the sum; return the exit code of the run."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0
