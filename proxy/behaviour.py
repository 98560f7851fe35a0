"""Every setting that changes how requests are served: its type, default and range. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SEARCH_PROMPT: Final = "（使用搜索工具联网搜索，需要在content中结合搜索内容）"


def _(text: str) -> str:
    """Mark a sentence for translation; it is translated where it is shown."""
    return text


HELP: Final[Mapping[str, str]] = {
    "max_requests_per_minute": _("Requests per minute, for each member."),
    "max_requests_per_day_per_ip": _("Requests per day from one address."),
    "api_key_daily_limit": _(
        "Requests per AI Studio key and Google day (Pacific time); hard. Vertex credentials have only one of their own."
    ),
    "fake_streaming": _("Fetch the whole answer first while the client is kept alive; false passes it on as it comes."),
    "max_empty_responses": _("Further attempts after an empty answer."),
    "max_attempts": _("Attempts (key uses) for one request at the most, racers included."),
    "concurrent_requests": _("Attempts raced at the start of a request."),
    "increase_concurrent_on_failure": _("Racers added after a round that brought no answer."),
    "max_concurrent_requests": _("Racers at the most, at all times."),
    "max_concurrent_per_key": _("Attempts that one key carries at a time, in each process; 0 sets no limit."),
    "random_string": _("Put a few random letters and digits at the start of the last user turn."),
    "random_string_length": _("How many letters and digits."),
    "search_mode": _("List -search twins of the models; they use Google Search."),
    "search_prompt": _("Text added to the last user turn of a -search request."),
    "list_sources": _("Add the web pages of a -search answer to its text, as a list."),
    "blocked_models": _("Model names or globs that are hidden and refused."),
    "allowed_models": _("Model names or globs; when set, only these are listed and served."),
    "extra_models": _("Model names listed although Google's list lacks them."),
    "fetch_media": _("Fetch images at https addresses for clients; off, only data URLs are taken."),
    "headers_hold_seconds": _("How long the answer's headers wait while attempts fail over."),
    "heartbeat_seconds": _("Seconds between keep-alive comments."),
    "upstream_timeout_seconds": _("Seconds one request may take in all."),
    "log_retention_days": _("Days that request logs are kept."),
    "enable_vertex": _("Use Vertex AI credentials too: service accounts and express keys."),
    "key_order": _("Which keys are used first where AI Studio and Vertex AI both serve a model."),
}


# Each with the kinds of keys (keys.models.Key.Kind) that are lent before the others.
KEY_ORDERS: Final[Mapping[str, frozenset[str]]] = {
    "alike": frozenset(),
    "ai_studio_first": frozenset({"ai_studio"}),
    "vertex_first": frozenset({"vertex_express", "vertex_service_account"}),
}


def _number(default: float, least: float, most: float | None = None) -> Any:
    return field(default=default, metadata={"least": least, "most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """The behaviour settings one request runs with.

    Each field is named like its environment variable in lower case, and like the field of the
    Settings row that may override it. Numbers carry their range as metadata (``least``, ``most``).
    Lists of names or globs are tuples.
    """

    max_requests_per_minute: int = _number(30, 0)
    max_requests_per_day_per_ip: int = _number(600, 0)
    api_key_daily_limit: int = _number(100, 0)
    fake_streaming: bool = True
    max_empty_responses: int = _number(5, 0)
    max_attempts: int = _number(15, 1, 100)
    concurrent_requests: int = _number(1, 1, 20)
    increase_concurrent_on_failure: int = _number(0, 0, 20)
    max_concurrent_requests: int = _number(3, 1, 20)
    max_concurrent_per_key: int = _number(250, 0)
    random_string: bool = True
    random_string_length: int = _number(5, 1, 1000)
    search_mode: bool = False
    search_prompt: str = SEARCH_PROMPT
    list_sources: bool = False
    blocked_models: tuple[str, ...] = ()
    allowed_models: tuple[str, ...] = ()
    extra_models: tuple[str, ...] = ()
    fetch_media: bool = False
    headers_hold_seconds: float = _number(15, 0, 120)
    heartbeat_seconds: float = _number(5, 0.05, 60)
    upstream_timeout_seconds: float = _number(600, 0.1, 3600)
    log_retention_days: int = _number(30, 1, 3650)
    enable_vertex: bool = False
    key_order: str = field(default="alike", metadata={"words": tuple(KEY_ORDERS)})
