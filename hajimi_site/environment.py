"""Every environment variable: name, kind, default, allowed values, help. Reads and checks them all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from ipaddress import ip_network
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured

from proxy.behaviour import Behaviour

TRUE: Final = frozenset({"true", "1", "yes", "on"})
FALSE: Final = frozenset({"false", "0", "no", "off"})


class BadEnvironment(ImproperlyConfigured):
    """A variable has a value that cannot be used. The message names it and what is allowed."""


class Unfit(ValueError):
    """A text does not fit a kind; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to read a text: ``read`` returns the value or raises Unfit; ``allowed`` tells people."""

    read: Callable[[str], Any]
    allowed: str


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. ``default`` is the value when it is unset or empty; a ``secret`` value is never printed."""

    name: str
    kind: Kind
    default: Any
    help: str
    secret: bool = False
    old_names: tuple[str, ...] = ()


def _yes_or_no(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise Unfit
    return text.lower() in TRUE


def whole(least: int, most: int | None = None) -> Kind:
    """Return the kind of whole numbers from ``least`` to ``most``."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise Unfit
        number = int(text)
        if number < least or (most is not None and number > most):
            raise Unfit
        return number

    return Kind(read, f"a whole number, {_span(least, most)}")


def decimal(least: float, most: float | None = None) -> Kind:
    """Return the kind of numbers, decimals allowed, from ``least`` to ``most``."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise Unfit from None
        if not math.isfinite(number) or number < least or (most is not None and number > most):
            raise Unfit
        return number

    return Kind(read, f"a number, {_span(least, most)}")


def _span(least: float, most: float | None) -> str:
    return f"{least:g} to {most:g}" if most is not None else f"{least:g} or more"


def _split(text: str) -> tuple[str, ...]:
    return tuple(piece for piece in re.split(r"[\s,;，；]+", text) if piece)


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Unfit from None
    return text


def _http_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", text):
        raise Unfit
    return text.rstrip("/")


def _networks(text: str) -> tuple[str, ...]:
    pieces = _split(text)
    try:
        for piece in pieces:
            ip_network(piece, strict=False)
    except ValueError:
        raise Unfit from None
    return pieces


def _password(text: str) -> str:
    text = text.strip().strip('"')
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", text):
        raise Unfit
    return text


def one_of(*words: str) -> Kind:
    """Return the kind of texts that are one of ``words``."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise Unfit
        return text.lower()

    return Kind(read, " or ".join(words))


YES_NO: Final = Kind(_yes_or_no, "true, 1, yes, on or false, 0, no, off")
TEXT: Final = Kind(str, "any text")
NAMES: Final = Kind(_split, "names, separated by commas, spaces or new lines")
URL: Final = Kind(_http_url, "an address like https://host or http://host:port/path")
DATABASE_URL: Final = Kind(str, "sqlite:///path, or postgres://user:password@host:port/name")
TIME_ZONE: Final = Kind(_time_zone, "a time zone like Asia/Shanghai")
NETWORKS: Final = Kind(_networks, "addresses or networks like 10.0.0.0/8, separated by commas")
PASSWORD: Final = Kind(_password, "printable ASCII without spaces at the ends")

BEHAVIOUR_HELP: Final[Mapping[str, str]] = {
    "max_requests_per_minute": "Requests per minute, for each member.",
    "max_requests_per_day_per_ip": "Requests per day from one address.",
    "api_key_daily_limit": "Requests per key and Google day (Pacific time); hard.",
    "fake_streaming": "Fetch the whole answer first while the client is kept alive; false passes it on as it comes.",
    "max_empty_responses": "Further attempts after an empty answer.",
    "max_attempts": "Attempts (key uses) for one request at the most, racers included.",
    "concurrent_requests": "Attempts raced at the start of a request.",
    "increase_concurrent_on_failure": "Racers added after a round that brought no answer.",
    "max_concurrent_requests": "Racers at the most, at all times.",
    "random_string": "Put a few random letters at the start of the last user turn.",
    "random_string_length": "How many letters.",
    "search_mode": "List -search twins of the models; they use Google Search.",
    "search_prompt": "Text added to the last user turn of a -search request.",
    "blocked_models": "Model names or globs that are hidden and refused.",
    "allowed_models": "Model names or globs; when set, only these are listed and served.",
    "extra_models": "Model names listed although Google's list lacks them.",
    "fetch_media": "Fetch http(s) images for clients; off, only data URLs are taken.",
    "headers_hold_seconds": "How long the answer's headers wait while attempts fail over.",
    "heartbeat_seconds": "Seconds between keep-alive comments.",
    "upstream_timeout_seconds": "Seconds one request may take in all.",
    "log_retention_days": "Days that request logs are kept.",
}

BEHAVIOUR_OLD_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "max_attempts": ("MAX_RETRY_NUM",),
    "heartbeat_seconds": ("FAKE_STREAMING_INTERVAL",),
    "allowed_models": ("WHITELIST_MODELS",),
}


def _behaviour_variables() -> tuple[Variable, ...]:
    return tuple(_behaviour_variable(field) for field in dataclass_fields(Behaviour))


def _behaviour_variable(field: Any) -> Variable:
    least, most = field.metadata.get("least"), field.metadata.get("most")
    kinds = {
        "bool": YES_NO,
        "int": whole(least, most) if least is not None else TEXT,
        "float": decimal(least, most) if least is not None else TEXT,
        "str": TEXT,
        "tuple[str, ...]": NAMES,
    }
    return Variable(
        field.name.upper(),
        kinds[field.type],
        field.default,
        BEHAVIOUR_HELP[field.name],
        old_names=BEHAVIOUR_OLD_NAMES.get(field.name, ()),
    )


VARIABLES: Final[tuple[Variable, ...]] = (
    Variable(
        "GEMINI_API_KEYS",
        NAMES,
        (),
        "Google API keys to begin with; also GEMINI_API_KEYS_1 to GEMINI_API_KEYS_99.",
        secret=True,
    ),
    Variable("PASSWORD", PASSWORD, None, "The password of the member named shared. Unset: 123.", secret=True),
    Variable("TZ", TIME_ZONE, "Asia/Shanghai", "Time zone of days and of times shown."),
    *_behaviour_variables(),
    Variable("ENABLE_VERTEX", YES_NO, False, "Use Vertex AI credentials too."),
    Variable("GOOGLE_CREDENTIALS_JSON", TEXT, "", "Service accounts for Vertex AI.", secret=True),
    Variable("HOST", TEXT, "0.0.0.0", "Address to listen on."),  # noqa: S104 - a container must listen on all
    Variable("PORT", whole(0, 65535), 7860, "Port to listen on; 0 takes a free one."),
    Variable("WORKERS", whole(1, 64), 1, "Processes; more than one needs REDIS_URL."),
    Variable("EVENT_LOOP", one_of("asyncio", "uvloop"), "asyncio", "Event loop; uvloop must be installed by hand."),
    Variable("DATA_DIR", TEXT, "./data", "Folder of the database and of the SECRET_KEY file."),
    Variable("DATABASE_URL", DATABASE_URL, "", "Database; empty: SQLite in DATA_DIR.", secret=True),
    Variable("REDIS_URL", TEXT, "", "Redis for more than one process.", secret=True),
    Variable("SECRET_KEY", TEXT, "", "Encrypts what is stored; empty: made once in DATA_DIR.", secret=True),
    Variable("SECRET_KEY_FALLBACKS", NAMES, (), "Earlier values of SECRET_KEY, still read.", secret=True),
    Variable("ADMIN_USERNAME", TEXT, "admin", "Name of the admin account made at the first start."),
    Variable("ADMIN_PASSWORD", TEXT, "", "Its password; empty: made and printed once.", secret=True),
    Variable("ALLOWED_HOSTS", NAMES, (), "Further host names pages are served under."),
    Variable("CSRF_TRUSTED_ORIGINS", NAMES, (), "Further origins whose forms are taken, like https://host."),
    Variable("ALLOWED_ORIGINS", NAMES, (), "Web pages that may call the API; empty: all, without cookies."),
    Variable("TRUSTED_PROXIES", NETWORKS, (), "Proxies whose X-Forwarded-For and -Proto are believed."),
    Variable("GEMINI_BASE_URL", URL, "https://generativelanguage.googleapis.com", "Where the Gemini API is."),
    Variable("VERTEX_BASE_URL", URL, "", "Where Vertex AI is; empty: Google's address for the location."),
    Variable("MAX_BODY_MB", decimal(0.001, 1024), 32.0, "Largest request body, in megabytes (2^20 bytes)."),
    Variable("DRAIN_SECONDS", decimal(0, 3600), 20.0, "How long SIGTERM lets running answers finish."),
    Variable("BACKUP_DIR", TEXT, "", "Folder for snapshots of the database."),
    Variable("BACKUP_MINUTES", decimal(0, 10080), 30.0, "Minutes between snapshots."),
    Variable("LANGUAGE_CODE", one_of("en", "zh-hans"), "en", "Language of messages and pages."),
    Variable("DEBUG", YES_NO, False, "Django's debug pages. Never in public."),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the environment says: values by variable name, and sentences for the log."""

    values: Mapping[str, Any]
    notes: tuple[str, ...]


def read(environ: Mapping[str, str]) -> Reading:
    """Read every variable from ``environ``. Raises BadEnvironment at the first value that does not fit."""
    notes: list[str] = []
    values = {variable.name: _value(variable, environ, notes) for variable in VARIABLES}
    more = [environ.get(f"GEMINI_API_KEYS_{number}", "") for number in range(1, 100)]
    values["GEMINI_API_KEYS"] = (*values["GEMINI_API_KEYS"], *_split(" ".join(more)))
    return Reading(values, tuple(notes))


def _value(variable: Variable, environ: Mapping[str, str], notes: list[str]) -> Any:
    name, text = _found(variable, environ)
    if not text:
        return variable.default
    if name != variable.name:
        notes.append(f"{name} is understood; its name here is {variable.name}.")
    try:
        return variable.kind.read(text)
    except Unfit:
        shown = "a value that" if variable.secret else f"{text!r}, which"
        raise BadEnvironment(f"{name} is set to {shown} cannot be used; it must be {variable.kind.allowed}.") from None


def _found(variable: Variable, environ: Mapping[str, str]) -> tuple[str, str]:
    for name in (variable.name, *variable.old_names):
        text = environ.get(name, "").strip()
        if text:
            return name, text
    return variable.name, ""


def behaviour(values: Mapping[str, Any]) -> Behaviour:
    """Return the behaviour settings among ``values``."""
    return Behaviour(**{field.name: values[field.name.upper()] for field in dataclass_fields(Behaviour)})
