"""The files of other proxies: settings.json and .env files, and SQLite databases. Read, never written."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hajimi_site import env_file
from hajimi_site.kinds import split
from hajimi_site.moving_in.luggage import Guest, Luggage, Unreadable

LARGEST_FILE: Final = 64 * 2**20
SQLITE_HEAD: Final = b"SQLite format 3\x00"

# What gemini-balance calls it -> what it is here (its app/config/config.py).
FROM_GEMINI_BALANCE: Final[Mapping[str, str]] = {
    "MAX_RETRIES": "MAX_ATTEMPTS",
    "TIME_OUT": "UPSTREAM_TIMEOUT_SECONDS",
    "FILTERED_MODELS": "BLOCKED_MODELS",
    "FAKE_STREAM_ENABLED": "FAKE_STREAMING",
    "FAKE_STREAM_EMPTY_DATA_INTERVAL_SECONDS": "HEARTBEAT_SECONDS",
    "SHOW_SEARCH_LINK": "LIST_SOURCES",
}
# Types of channels in one-api and new-api that lead to Google: their constant/channel.go.
GEMINI_CHANNEL: Final = 24
VERTEX_CHANNEL: Final = 41
ENABLED: Final = 1
NEVER: Final = -1


def from_hajimi(path: Path) -> Luggage:
    """Read the original's settings.json, or a file of its variables. Raises Unreadable."""
    found = {name.upper(): _text(value) for name, value in _pairs(path).items()}
    password = found.pop("PASSWORD", "")
    keys = [found.pop(name) for name in sorted(found) if name.startswith("GEMINI_API_KEYS")]
    return Luggage(
        keys=split(" ".join(keys)),
        express_keys=split(found.pop("VERTEX_EXPRESS_API_KEY", "")),
        accounts=found.pop("GOOGLE_CREDENTIALS_JSON", ""),
        guests=(Guest("shared", password),) if password else (),
        settings=found,
    )


def from_gemini_balance(path: Path) -> Luggage:
    """Read the settings table of its SQLite database, or a file of its variables. Raises Unreadable."""
    found = _settings_table(path) if _is_sqlite(path) else {name: _text(value) for name, value in _pairs(path).items()}
    passwords = dict.fromkeys((*_listed(found.get("ALLOWED_TOKENS", "")), *_listed(found.get("AUTH_TOKEN", ""))))
    paid = _listed(found.get("PAID_KEY", ""))
    known = {here: ",".join(_listed(found[there])) for there, here in FROM_GEMINI_BALANCE.items() if found.get(there)}
    if found.get("AUTO_DELETE_REQUEST_LOGS_ENABLED", "").lower() == "true":
        known["LOG_RETENTION_DAYS"] = found.get("AUTO_DELETE_REQUEST_LOGS_DAYS", "")
    return Luggage(
        keys=(*_listed(found.get("API_KEYS", "")), *paid),
        express_keys=_listed(found.get("VERTEX_API_KEYS", "")),
        guests=tuple(Guest(f"gemini-balance {number}", word) for number, word in enumerate(passwords, 1)),
        settings=known,
    )


def from_one_api(path: Path) -> Luggage:
    """Read tokens and Google's channels of a SQLite database of one-api or new-api. Raises Unreadable."""
    if not _is_sqlite(path):
        raise Unreadable(f"{path} is no SQLite database; dump other databases into one first.")
    with _database(path) as rows:
        tokens = [token for token in rows("tokens") if not token.get("deleted_at")]
        channels = rows("channels")
    google = [channel for channel in channels if channel.get("type") in (GEMINI_CHANNEL, VERTEX_CHANNEL)]
    secrets = [(channel["type"], str(channel.get("key") or "")) for channel in google]
    return Luggage(
        keys=split(" ".join(text for kind, text in secrets if kind == GEMINI_CHANNEL)),
        express_keys=split(" ".join(text for kind, text in secrets if kind == VERTEX_CHANNEL and not _is_json(text))),
        accounts="\n".join(text for kind, text in secrets if kind == VERTEX_CHANNEL and _is_json(text)),
        guests=tuple(_guest(token) for token in tokens if token.get("key")),
        left=tuple(_left(tokens, len(channels) - len(google))),
    )


READERS: Final[Mapping[str, Callable[[Path], Luggage]]] = {
    "hajimi": from_hajimi,
    "gemini-balance": from_gemini_balance,
    "one-api": from_one_api,
    "new-api": from_one_api,
}


def _guest(token: Mapping[str, Any]) -> Guest:
    limited = bool(token.get("model_limits_enabled"))
    return Guest(
        name=str(token.get("name") or f"token {token.get('id')}").strip()[:80],
        # Their clients send "sk-" in front of what is stored.
        password=f"sk-{str(token['key']).removeprefix('sk-')}",
        enabled=token.get("status") == ENABLED,
        expires_at=_end(token.get("expired_time") or NEVER),
        allowed_models=split(str(token.get("model_limits") or "")) if limited else (),
    )


def _end(seconds: Any) -> datetime | None:
    """Return the end of a token that has one; a time past all calendars is none."""
    if seconds == NEVER:
        return None
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (OverflowError, OSError, ValueError, TypeError):
        return None


def _left(tokens: list[dict[str, Any]], other_channels: int) -> Iterator[str]:
    quotas = sum(not token.get("unlimited_quota") for token in tokens)
    if quotas:
        yield f"{quotas} quotas of tokens: they count money, limits here count requests and tokens (set_limit)."
    if other_channels:
        yield f"{other_channels} channels that do not lead to Google."


def _pairs(path: Path) -> dict[str, Any]:
    """Return the names and values of a JSON object, or of a file of variables."""
    text = _read(path).decode("utf-8-sig", errors="replace")
    if text.lstrip()[:1] != "{":
        found: dict[str, Any] = {}
        env_file.load(path, found)
        if not found:
            raise Unreadable(f"{path} holds neither JSON nor NAME=value lines.")
        return found
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(f"{path} is not valid JSON.") from None
    return dict(document)


def _settings_table(path: Path) -> dict[str, str]:
    with _database(path) as rows:
        return {str(row.get("key")): str(row.get("value") or "") for row in rows("t_settings")}


@contextlib.contextmanager
def _database(path: Path) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Open a SQLite database for reading; yield what returns a table's rows."""

    def rows(table: str) -> list[dict[str, Any]]:
        try:
            # The name is one of ours, above.
            return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]  # noqa: S608
        except sqlite3.Error as error:
            raise Unreadable(f"{path} cannot be read: {error}.") from None

    # As an address, so that a "#" or "?" in the name is a part of it.
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield rows


def _is_sqlite(path: Path) -> bool:
    return _read(path, len(SQLITE_HEAD)) == SQLITE_HEAD


def _read(path: Path, most: int = LARGEST_FILE) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None


def _listed(text: str) -> tuple[str, ...]:
    """Read a list as gemini-balance writes it: JSON, or words with commas."""
    if text.lstrip()[:1] == "[":
        with contextlib.suppress(ValueError):
            return tuple(str(item).strip() for item in json.loads(text) if str(item).strip())
    return split(text)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")
