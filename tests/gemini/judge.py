"""Would Google take this body? The judge beside the repository if it is there, a few rules of our own if not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.gemini.errors import Body, body
from tests.gemini.model import Json, as_list, field
from tests.oracle import load
from tests.shared import SHARED

Judge = Callable[[str, Any, str], "Body | None"]


def basic(model: str, document: Any, method: str) -> Body | None:
    """Return the 400 body for what no Gemini model takes: no object, no contents, bad roles, empty parts."""
    if not isinstance(document, dict):
        return body(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unexpected token.")
    if method not in ("generateContent", "streamGenerateContent"):
        return None
    complaint = _complaint(document)
    return body(400, "INVALID_ARGUMENT", complaint) if complaint else None


def _complaint(document: Json) -> str:
    contents = as_list(field(document, "contents"))
    if not contents:
        return "* GenerateContentRequest.contents: contents is not specified\n"
    for index, content in enumerate(contents):
        if not isinstance(content, dict) or content.get("role") not in (None, "", "user", "model", "function"):
            return "Please use a valid role: user, model."
        if not as_list(field(content, "parts")):
            return f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
    return ""


def strictest(platform: str = "gemini") -> Judge:
    """Return the strictest judge there is here, of the Gemini API or of "vertex"."""
    if SHARED is None:
        return basic
    oracle: Any = load()

    def judge(model: str, document: Any, method: str) -> Body | None:
        complaint = basic(model, document, method) if not isinstance(document, dict) else None
        found: Body = oracle.error_body(oracle.check(model, document, platform, method))
        return complaint or found or None

    return judge
