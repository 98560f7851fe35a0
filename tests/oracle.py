"""What Google would say to a request body, by the judge that lies beside the repository."""

from __future__ import annotations

import functools
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

from tests.shared import SHARED


@functools.cache
def load() -> ModuleType:
    """Return the judge's module; callers are marked ``needs_shared``."""
    assert SHARED is not None, "the judge is not beside the repository"
    spec = importlib.util.spec_from_file_location("gemini_oracle", SHARED / "gemini" / "oracle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their own module up by name.
    sys.modules[spec.name] = module
    with warnings.catch_warnings():
        # It leaves the definition files to the garbage collector, which warns; read them here, once.
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
        module._doc("gemini")
        module._doc("vertex")
    return module


def complaints(model: str, body: Any, *, platform: str = "gemini", method: str = "generateContent") -> list[str]:
    """Return the sentences Google would refuse the body with; empty when it would be taken."""
    return list(load().validate(model, body, platform, method))


def error_body(model: str, body: Any, *, platform: str = "gemini", method: str = "generateContent") -> dict[str, Any]:
    """Return the body of Google's 400, or ``{}`` when the request would be taken."""
    judge = load()
    return dict(judge.error_body(judge.check(model, body, platform, method)))
