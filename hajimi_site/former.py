"""The original hajimi's variables that are not ours: what a person who still sets one is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _(text: str) -> str:
    """Mark a text for translation: the log speaks English, the Chinese edition of docs/configuration.md does not."""
    return text


_CACHE = _("answers are never cached")
_STORAGE = _("everything is kept in DATA_DIR")
_KEEPALIVE = _("only streams are kept alive (HEARTBEAT_SECONDS)")
_FAKE = _("a collected answer is sent at once")

UNUSED: Final[Mapping[str, str]] = {
    "CACHE_EXPIRY_TIME": _CACHE,
    "MAX_CACHE_ENTRIES": _CACHE,
    "CALCULATE_CACHE_ENTRIES": _CACHE,
    "PRECISE_CACHE": _CACHE,
    "ENABLE_STORAGE": _STORAGE,
    "STORAGE_DIR": _STORAGE,
    "SKIP_CHECK_API_KEY": _("a key is judged by Google's answers, not checked at start"),
    "INVALID_API_KEYS": _("disable keys in the admin"),
    "ENABLE_THINKING": _("each model gets only the thinking settings it understands"),
    "WHITELIST_USER_AGENT": _("a client is known by its password only"),
    "PUBLIC_MODE": _("every request is served on its own"),
    "DASHBOARD_URL": _("the pages are / and /admin/"),
    "FAKE_STREAMING_CHUNK_SIZE": _FAKE,
    "FAKE_STREAMING_DELAY_PER_CHUNK": _FAKE,
    "NONSTREAM_KEEPALIVE_ENABLED": _KEEPALIVE,
    "NONSTREAM_KEEPALIVE_INTERVAL": _KEEPALIVE,
    "ENABLE_VERTEX_EXPRESS": _("ENABLE_VERTEX is for both kinds of credentials"),
    "VERTEX_PROJECT_ID": _("a service account names its own project"),
    "VERTEX_MODELS_CONFIG_URL": _("the models of Vertex AI are known here; EXTRA_MODELS adds to them"),
    "HUGGINGFACE": _("a Space is recognised by itself"),
    "GEMINI_API_KEY": _("the name is GEMINI_API_KEYS"),
}
"""Name -> why it has no effect. GEMINI_API_KEY was never a name, but many write it."""


def note(name: str) -> str:
    """Return the sentence for the log about ``name``, one of UNUSED."""
    return f"{name} has no effect here: {UNUSED[name]}."
