"""Where the recordings and the judge of request bodies are, when they lie beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared"
SHARED: Path | None = _BESIDE if (_BESIDE / "gemini").is_dir() else None

needs_shared = pytest.mark.skipif(SHARED is None, reason="the recordings are not beside the repository (../shared)")
