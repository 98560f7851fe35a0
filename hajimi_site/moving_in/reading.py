"""What the files of other proxies mean here: which reader is for which, and those of settings."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from hajimi_site.kinds import split
from hajimi_site.moving_in.files import database, is_sqlite, pairs, text
from hajimi_site.moving_in.luggage import Guest, Luggage, Secret
from hajimi_site.moving_in.relays import from_new_api, from_one_api
from keys.enrolling import SHARED_NAME

# What gemini-balance calls it -> what it is here (its app/config/config.py).
FROM_GEMINI_BALANCE: Final[Mapping[str, str]] = {
    "MAX_RETRIES": "MAX_ATTEMPTS",
    "TIME_OUT": "UPSTREAM_TIMEOUT_SECONDS",
    "FILTERED_MODELS": "BLOCKED_MODELS",
    "FAKE_STREAM_ENABLED": "FAKE_STREAMING",
    "FAKE_STREAM_EMPTY_DATA_INTERVAL_SECONDS": "HEARTBEAT_SECONDS",
    "SHOW_SEARCH_LINK": "LIST_SOURCES",
}
# What becomes keys, members and the days that logs are kept.
UNDERSTOOD: Final = frozenset(
    {"API_KEYS", "PAID_KEY", "VERTEX_API_KEYS", "ALLOWED_TOKENS", "AUTH_TOKEN"}
    | {"AUTO_DELETE_REQUEST_LOGS_ENABLED", "AUTO_DELETE_REQUEST_LOGS_DAYS"}
)
NOTHING: Final = ("", "[]", "{}")


def from_hajimi(path: Path) -> Luggage:
    """Read the original's settings.json, or a file of its variables. Raises Unreadable.

    settings.json never holds its password or its lists of models, and what it says about search in an object.
    """
    found = {name.upper(): text(value) for name, value in _flat(pairs(path)).items()}
    password = found.pop("PASSWORD", "")
    keys = [found.pop(name) for name in sorted(found) if name.startswith("GEMINI_API_KEYS")]
    accounts = found.pop("GOOGLE_CREDENTIALS_JSON", "")
    return Luggage(
        keys=_secrets(split(" ".join(keys))),
        express_keys=_secrets(split(found.pop("VERTEX_EXPRESS_API_KEY", ""))),
        accounts=(Secret(accounts),) if accounts.strip() else (),
        guests=(Guest(SHARED_NAME, password),) if password else (),
        settings=found,
    )


def from_gemini_balance(path: Path) -> Luggage:
    """Read the settings table of its SQLite database, or a file of its settings. Raises Unreadable."""
    found = _settings_table(path) if is_sqlite(path) else {name: text(value) for name, value in pairs(path).items()}
    passwords = dict.fromkeys((*_listed(found.get("ALLOWED_TOKENS", "")), *_listed(found.get("AUTH_TOKEN", ""))))
    known = {here: ",".join(_listed(found[there])) for there, here in FROM_GEMINI_BALANCE.items() if found.get(there)}
    if found.get("AUTO_DELETE_REQUEST_LOGS_ENABLED", "").lower() == "true":
        known["LOG_RETENTION_DAYS"] = found.get("AUTO_DELETE_REQUEST_LOGS_DAYS", "")
    others = found.keys() - FROM_GEMINI_BALANCE.keys() - UNDERSTOOD
    return Luggage(
        keys=_secrets((*_listed(found.get("API_KEYS", "")), *_listed(found.get("PAID_KEY", "")))),
        express_keys=_secrets(_listed(found.get("VERTEX_API_KEYS", ""))),
        guests=tuple(Guest(f"gemini-balance {number}", word) for number, word in enumerate(passwords, 1)),
        settings=known,
        unknown=tuple(sorted(name for name in others if found[name].strip() not in NOTHING)),
    )


READERS: Final[Mapping[str, Callable[[Path], Luggage]]] = {
    "hajimi": from_hajimi,
    "gemini-balance": from_gemini_balance,
    "one-api": from_one_api,
    "new-api": from_new_api,
}


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    search = document.get("search")
    if not isinstance(search, dict):
        return dict(document)
    # Upper case, so that it is one name with a variable of that name beside it, and wins as it did there.
    return {name: value for name, value in document.items() if name != "search"} | {
        name.upper(): value for name, value in search.items()
    }


def _secrets(texts: tuple[str, ...]) -> tuple[Secret, ...]:
    return tuple(map(Secret, texts))


def _settings_table(path: Path) -> dict[str, str]:
    with database(path) as rows:
        return {str(row["key"]): str(row.get("value") or "") for row in rows("t_settings") if row.get("key")}


def _listed(words: str) -> tuple[str, ...]:
    """Read a list as gemini-balance writes it: JSON, or words with commas."""
    if words.lstrip()[:1] == "[":
        with contextlib.suppress(ValueError, RecursionError):
            return tuple(str(item).strip() for item in json.loads(words) if str(item).strip())
    return split(words)
