"""What every test of a pure function begins with."""

from __future__ import annotations

import pytest

from keys.redacting import redact


@pytest.fixture(autouse=True)
def _no_secrets_known() -> None:
    """Forget the keys and passwords of a database that another test's runtime has made known to this process."""
    redact.know([], lambda word: False)
