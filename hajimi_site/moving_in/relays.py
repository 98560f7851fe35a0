"""The databases of one-api and of new-api, its descendant: alike in their tables, not in what the columns mean.

Read in songquanpeng/one-api (relay/channeltype/define.go, model/token.go, model/channel.go, middleware/auth.go) and
QuantumNous/new-api (constant/channel.go, model/token.go, model/channel.go, middleware/distributor.go).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from hajimi_site.kinds import split
from hajimi_site.moving_in.files import database, is_sqlite
from hajimi_site.moving_in.luggage import Guest, Luggage, Secret, Unreadable, some

Row = Mapping[str, Any]

ENABLED: Final = 1
NEVER: Final = -1
DISABLED: Final = "was disabled there"
USED_UP: Final = "had used up its quota there"
# model/token.go of both: what the status of a token means.
TOKEN_STATUS: Final[Mapping[Any, str]] = {2: DISABLED, 3: "had expired there", 4: USED_UP}
GOOGLE: Final = "googleapis.com"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is different: the types of Google's channels, where their credentials stand, and what a token may do.

    ``models`` returns the models that a token may use, () for all of them, None for not one.
    """

    gemini: frozenset[int]
    vertex: int
    vertex_secrets: Callable[[Row], Iterator[Secret]]
    models: Callable[[Row], tuple[str, ...] | None]
    addresses: str


def from_one_api(path: Path) -> Luggage:
    """Read tokens and Google's channels of a SQLite database of one-api. Raises Unreadable."""
    tokens, channels, users = _tables(path)
    if _has(tokens, "model_limits_enabled"):
        raise Unreadable(f"{path} is a database of new-api, not of one-api: say new-api.")
    return _luggage(ONE_API, tokens, channels, users)


def from_new_api(path: Path) -> Luggage:
    """Read tokens and Google's channels of a SQLite database of new-api. Raises Unreadable."""
    tokens, channels, users = _tables(path)
    # A new-api that was once a one-api has the columns of both.
    if _has(tokens, "subnet") and not _has(tokens, "model_limits_enabled"):
        raise Unreadable(f"{path} is a database of one-api, not of new-api: say one-api.")
    return _luggage(NEW_API, tokens, channels, users)


def _tables(path: Path) -> tuple[list[Row], list[Row], dict[Any, Row]]:
    if not is_sqlite(path):
        raise Unreadable(f"{path} is no SQLite database; dump other databases into one first.")
    with database(path) as rows:
        tokens: list[Row] = [token for token in rows("tokens") if token.get("key") and not token.get("deleted_at")]
        return tokens, list(rows("channels")), {user.get("id"): user for user in rows("users")}


def _has(rows: Sequence[Row], column: str) -> bool:
    return bool(rows) and column in rows[0]


def _luggage(dialect: Dialect, tokens: Sequence[Row], channels: Sequence[Row], users: Mapping[Any, Row]) -> Luggage:
    ours = [channel for channel in channels if channel.get("type") in (*dialect.gemini, dialect.vertex)]
    google = [channel for channel in ours if _is_googles(str(channel.get("base_url") or ""))]
    vertex = [
        secret for channel in google if channel["type"] == dialect.vertex for secret in dialect.vertex_secrets(channel)
    ]
    return Luggage(
        keys=tuple(key for channel in google if channel["type"] in dialect.gemini for key in _api_keys(channel)),
        express_keys=tuple(secret for secret in vertex if not _is_account(secret)),
        accounts=tuple(secret for secret in vertex if _is_account(secret)),
        guests=tuple(_guest(dialect, token, users) for token in tokens),
        left=(
            *_left_of_tokens(dialect, tokens),
            *_left_of_channels(len(channels) - len(ours), [one for one in ours if one not in google]),
        ),
    )


def _guest(dialect: Dialect, token: Row, users: Mapping[Any, Row]) -> Guest:
    models = dialect.models(token)
    return Guest(
        name=_name(token, "token"),
        # Their clients send "sk-" in front of what is stored.
        password=f"sk-{str(token['key']).removeprefix('sk-')}",
        closed=_closed(token, users.get(token.get("user_id")), models),
        expires_at=_end(token.get("expired_time") or NEVER),
        allowed_models=models or (),
    )


def _closed(token: Row, user: Row | None, models: tuple[str, ...] | None) -> str:
    """Return why both would refuse this token, "" when they would not."""
    if token.get("status") != ENABLED:
        return TOKEN_STATUS.get(token.get("status"), DISABLED)
    if user is None or user.get("status") != ENABLED or user.get("deleted_at"):
        return "belonged to a user who was banned or deleted there"
    if not token.get("unlimited_quota") and "remain_quota" in token and not _is_positive(token["remain_quota"]):
        return USED_UP
    return "was allowed no model there" if models is None else ""


def _is_positive(number: Any) -> bool:
    return isinstance(number, int | float) and number > 0


def _end(seconds: Any) -> datetime | None:
    """Return the end of a token that has one; a time past all calendars is none."""
    if seconds == NEVER:
        return None
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (OverflowError, OSError, ValueError, TypeError):
        return None


def _one_api_models(token: Row) -> tuple[str, ...] | None:
    return split(str(token.get("models") or ""))


def _new_api_models(token: Row) -> tuple[str, ...] | None:
    """Return the models of a token; its distributor.go refuses every model when limits are on and the list is empty."""
    if not token.get("model_limits_enabled"):
        return ()
    return split(str(token.get("model_limits") or "")) or None


def _left_of_tokens(dialect: Dialect, tokens: Sequence[Row]) -> Iterator[str]:
    if quotas := sum(not token.get("unlimited_quota") for token in tokens):
        yield f"{quotas} quotas of tokens: they count money, limits here count requests and tokens (set_limit)."
    bound = [_name(token, "token") for token in tokens if str(token.get(dialect.addresses) or "").strip()]
    if bound:
        yield f"{len(bound)} lists of addresses ({some(bound)}): here a member's password opens from anywhere."


def _left_of_channels(others: int, elsewhere: Sequence[Row]) -> Iterator[str]:
    if others:
        yield f"{others} channels that are neither Gemini's nor Vertex AI's."
    if elsewhere:
        names = some([_name(channel, "channel") for channel in elsewhere])
        yield (
            f"{len(elsewhere)} channels that reach another server than Google's ({names}): "
            "if their keys are Google's own, import those in the admin."
        )


def _is_googles(address: str) -> bool:
    """Tell whether a channel's base_url leads to Google; without one it does."""
    if not address.strip():
        return True
    try:
        host = urlsplit(address if "//" in address else f"//{address}").hostname or ""
    except ValueError:
        return False
    return f".{host}".endswith(f".{GOOGLE}")


def _name(row: Row, kind: str) -> str:
    return str(row.get("name") or "").strip()[:80] or f"{kind} {row.get('id')}"


def _api_keys(channel: Row) -> Iterator[Secret]:
    for secret in _in_key_column(channel):
        yield from (Secret(word, secret.disabled, secret.place) for word in split(secret.text))


def _in_key_column(channel: Row) -> Iterator[Secret]:
    """Read a key column as new-api's GetKeys does: a JSON list, lines, or one account; with what is disabled in it."""
    info = _document(channel.get("channel_info"))
    statuses = _document(info.get("multi_key_status_list")) if info.get("is_multi_key") else {}
    is_off, place = _is_off(channel), f"channel {_name(channel, 'channel')}"
    for index, piece in enumerate(_pieces(str(channel.get("key") or "").strip(), bool(info.get("is_multi_key")))):
        yield Secret(piece, is_off or statuses.get(str(index), ENABLED) != ENABLED, place, index + 1)


def _pieces(key: str, is_multi: bool) -> list[str]:
    if key[:1] == "[":
        try:
            listed = json.loads(key, strict=False)
        except (ValueError, RecursionError):
            return [key]
        return [one if isinstance(one, str) else json.dumps(one) for one in listed]
    # One account may be spread over lines; of several, each stands on one.
    return [key] if key[:1] == "{" and not is_multi else key.split("\n")


def _in_config_column(channel: Row) -> Iterator[Secret]:
    """Read a Vertex channel of one-api: the account stands in ``config``, as text."""
    account = _document(channel.get("config")).get("vertex_ai_adc")
    text = account if isinstance(account, str) else json.dumps(account or {})
    yield Secret(text.strip() or "{}", _is_off(channel), f"channel {_name(channel, 'channel')}")


def _is_off(channel: Row) -> bool:
    return channel.get("status") != ENABLED


def _is_account(secret: Secret) -> bool:
    return secret.text.lstrip()[:1] in ("{", "[")


def _document(value: Any) -> dict[str, Any]:
    """Return a column that holds a JSON object, as text or bytes; anything else is an empty one."""
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


# In one-api 51 is Gemini's own OpenAI form; in new-api it is another company.
ONE_API: Final = Dialect(frozenset({24, 51}), 42, _in_config_column, _one_api_models, "subnet")
NEW_API: Final = Dialect(frozenset({24}), 41, _in_key_column, _new_api_models, "allow_ips")
