"""Every environment variable: name, kind, default, help. Reads and checks them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from django.core.exceptions import ImproperlyConfigured

from hajimi_site import former
from hajimi_site.kinds import (
    ACCOUNTS,
    DATABASE_URL,
    LOCATION,
    NAMES,
    NETWORKS,
    ORIGINS,
    ORIGINS_OR_ALL,
    PASSWORD,
    PROXY,
    REDIS_URL,
    TEXT,
    TIME_ZONE,
    URL,
    WORD,
    YES_NO,
    Kind,
    Unfit,
    decimal,
    one_of,
    split,
    whole,
)
from keys.accounts import BadAccount, check_token_servers
from keys.masking import mask
from keys.redacting import SHORTEST
from proxy.behaviour import HELP, Behaviour

# GEMINI_API_KEYS_1 and so on.
NUMBERED_KEYS: Final = tuple(f"GEMINI_API_KEYS_{number}" for number in range(1, 100))


class BadEnvironment(ImproperlyConfigured):
    """A variable has a value that cannot be used. The message names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. ``default`` is the value when it is unset or empty; a ``secret`` value is never printed."""

    name: str
    kind: Kind
    default: Any
    help: str
    secret: bool = False
    old_names: tuple[str, ...] = ()


BEHAVIOUR_OLD_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "max_attempts": ("MAX_RETRY_NUM",),
    "heartbeat_seconds": ("FAKE_STREAMING_INTERVAL",),
    "allowed_models": ("WHITELIST_MODELS",),
}


def _behaviour_variables() -> tuple[Variable, ...]:
    return tuple(_behaviour_variable(field) for field in dataclass_fields(Behaviour))


def _behaviour_variable(field: Any) -> Variable:
    return Variable(
        field.name.upper(),
        _behaviour_kind(field),
        field.default,
        HELP[field.name],
        old_names=BEHAVIOUR_OLD_NAMES.get(field.name, ()),
    )


def _behaviour_kind(field: Any) -> Kind:
    match field.type:
        case "bool":
            return YES_NO
        case "int":
            return whole(**field.metadata)
        case "float":
            return decimal(**field.metadata)
        case "tuple[str, ...]":
            return NAMES
        case _ if words := field.metadata.get("words"):
            return one_of(*words)
        case _:
            return TEXT


VARIABLES: Final[tuple[Variable, ...]] = (
    Variable(
        "GEMINI_API_KEYS",
        NAMES,
        (),
        "Google API keys to begin with; also `GEMINI_API_KEYS_1` to `GEMINI_API_KEYS_99`.",
        secret=True,
    ),
    Variable("PASSWORD", PASSWORD, None, "The password of the member named `shared`. Unset: `123`.", secret=True),
    Variable("TZ", TIME_ZONE, "Asia/Shanghai", "Time zone of days and of times shown."),
    *_behaviour_variables(),
    Variable(
        "GOOGLE_CREDENTIALS_JSON",
        ACCOUNTS,
        (),
        "Service accounts for Vertex AI: the JSON of one or several, or base64 of it.",
        secret=True,
    ),
    Variable("VERTEX_EXPRESS_API_KEY", NAMES, (), "API keys of Vertex AI in express mode.", secret=True),
    Variable(
        "VERTEX_LOCATION",
        LOCATION,
        "global",
        "Where service accounts call Vertex AI: `global`, a region, `us` or `eu`.",
    ),
    Variable("VERTEX_BASE_URL", URL, "", "Where Vertex AI is; empty: Google's address for the location."),
    Variable("HOST", TEXT, "0.0.0.0", "Address to listen on."),  # noqa: S104 - a container must listen on all
    Variable("PORT", whole(0, 65535), 7860, "Port to listen on; 0 takes a free one."),
    Variable("WORKERS", whole(1, 64), 1, "Processes on this machine; more than 1 need `REDIS_URL`."),
    Variable(
        "SERVER",
        one_of("daphne", "uvicorn", "granian"),
        "daphne",
        "HTTP server; all but daphne must be installed by hand.",
    ),
    Variable("EVENT_LOOP", one_of("asyncio", "uvloop"), "asyncio", "Event loop; uvloop must be installed by hand."),
    Variable("DATA_DIR", TEXT, "./data", "Folder of the database and of the secret key's file."),
    Variable("DATABASE_URL", DATABASE_URL, "", "Database; empty: SQLite in `DATA_DIR`.", secret=True),
    Variable("REDIS_URL", REDIS_URL, "", "Redis or Valkey; needed by more than one process.", secret=True),
    Variable("REDIS_PREFIX", WORD, "hajimi", "Begins every name in Redis; another one for each installation."),
    Variable(
        "REDIS_AWAY",
        one_of("refuse", "alone"),
        "refuse",
        "While Redis is away: `refuse` answers 503; `alone` lets each process count limits by itself.",
    ),
    Variable("SECRET_KEY", TEXT, "", "Encrypts what is stored; empty: made once in `DATA_DIR`.", secret=True),
    Variable("SECRET_KEY_FALLBACKS", NAMES, (), "Earlier values of `SECRET_KEY`, still read.", secret=True),
    Variable("ADMIN_USERNAME", TEXT, "admin", "Name of the admin account made at the first start."),
    Variable(
        "ADMIN_PASSWORD",
        TEXT,
        "",
        "Its password; empty: made and printed once.",
        secret=True,
        old_names=("WEB_PASSWORD",),
    ),
    Variable("ALLOWED_HOSTS", NAMES, (), "Further host names that pages are served under."),
    Variable("CSRF_TRUSTED_ORIGINS", ORIGINS, (), "Further origins whose forms are taken, like `https://host`."),
    Variable("ALLOWED_ORIGINS", ORIGINS_OR_ALL, (), "Web pages that may call the API; empty: all, without cookies."),
    Variable("TRUSTED_PROXIES", NETWORKS, (), "Proxies whose `X-Forwarded-For` and `-Proto` are believed."),
    Variable("GEMINI_BASE_URL", URL, "https://generativelanguage.googleapis.com", "Where the Gemini API is."),
    Variable("MAX_BODY_MB", decimal(0.001, 1024), 32.0, "Largest request body, in megabytes (2^20 bytes)."),
    Variable(
        "MAX_PARALLEL_REQUESTS_PER_IP",
        whole(0),
        2000,
        "Requests that one address may have running at once in each process, and its connections; 0: any number.",
    ),
    Variable(
        "JOURNAL_LIMIT",
        whole(1, 1_000_000),
        10_000,
        "Requests that may wait to be written while the database is away; then new ones are refused.",
    ),
    Variable("DRAIN_SECONDS", decimal(0, 3600), 20.0, "How long SIGTERM lets running answers finish."),
    Variable("BACKUP_DIR", TEXT, "", "Folder for snapshots of a SQLite database, such as a mounted bucket."),
    Variable("BACKUP_MINUTES", decimal(0, 10080), 30.0, "Minutes between snapshots; 0 takes one at the end only."),
    Variable("BACKUP_KEEP", whole(1, 10_000), 10, "How many snapshots are kept."),
    Variable("LOG_FORMAT", one_of("text", "json"), "text", "Lines of the log: for people, or one JSON document each."),
    Variable("LANGUAGE_CODE", one_of("en", "zh-hans"), "en", "Language of messages and pages."),
    Variable("DEBUG", YES_NO, False, "Django's debug pages. Never in public."),
    Variable("ENV_FILE", TEXT, ".env", "File of further variables; the environment wins over it."),
)


# Where Vertex AI is unless VERTEX_BASE_URL says otherwise; regions have names of their own below it.
VERTEX_ADDRESS: Final = "https://aiplatform.googleapis.com"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the environment says: values by variable name, and sentences for the log."""

    values: Mapping[str, Any]
    notes: tuple[str, ...]


DEBUG_IS_ON: Final = "WARNING: DEBUG is on: whoever finds an error sees how this server is set up. Never in public."


def read(environ: Mapping[str, str]) -> Reading:
    """Read every variable from ``environ``. Raises BadEnvironment at the first value that does not fit."""
    values = {variable.name: _value(variable, environ) for variable in VARIABLES}
    more = [environ.get(name, "") for name in NUMBERED_KEYS]
    values["GEMINI_API_KEYS"] = (*values["GEMINI_API_KEYS"], *split(" ".join(more)))
    warnings = (DEBUG_IS_ON,) if values["DEBUG"] else ()
    try:
        check_token_servers(values["GOOGLE_CREDENTIALS_JSON"], values["VERTEX_BASE_URL"])
    except BadAccount as error:
        raise BadEnvironment(f"GOOGLE_CREDENTIALS_JSON cannot be used ({error}).") from None
    return Reading(values, (*_notes(environ), *warnings))


def proxies(environ: Mapping[str, str], addresses: Iterable[str]) -> dict[str, str]:
    """Return the variables that name the proxies on the way to ``addresses``, with whole addresses of proxies.

    Raises BadEnvironment when one cannot be used. Those on the way to other addresses are no matter of ours.
    """
    exceptions = _first(environ, ("no_proxy", "NO_PROXY"))
    bypassed = {"no": _text(environ, exceptions) if exceptions else ""}
    split_addresses = [urlsplit(address) for address in addresses]
    schemes = {each.scheme for each in split_addresses if not proxy_bypass_environment(each.netloc, bypassed)}
    # As Python itself reads them: the small name of each first.
    names = [
        _first(environ, (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"))
        for scheme in sorted(schemes)
    ]
    return {name: _value(Variable(name, PROXY, "", "", secret=True), environ) for name in names if name}


def _first(environ: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the first of ``names`` that is set, or ''."""
    return next((name for name in names if _text(environ, name)), "")


def secrets_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return every secret that ``environ`` holds: whole values, the pieces of lists, passwords inside addresses."""
    numbered = [name for name in environ if name.startswith("GEMINI_API_KEYS_")]
    found = [piece for name in numbered for piece in split(environ[name])]
    for variable in (variable for variable in VARIABLES if variable.secret):
        for text in filter(None, (_text(environ, name) for name in (variable.name, *variable.old_names))):
            found += split(text) if variable.kind is NAMES else [text]
            if variable.kind in (DATABASE_URL, REDIS_URL):
                found.append(unquote(urlsplit(text).password or ""))
    return tuple(dict.fromkeys(filter(None, found)))


def _looks_secret(text: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a text is like a key, or is the value of a secret variable that has slipped into another one."""
    return mask(text) != text or any(len(secret) >= SHORTEST and secret in text for secret in secrets_in(environ))


def behaviour(values: Mapping[str, Any]) -> Behaviour:
    """Return the behaviour settings among ``values``."""
    return Behaviour(**{field.name: values[field.name.upper()] for field in dataclass_fields(Behaviour)})


def _value(variable: Variable, environ: Mapping[str, str]) -> Any:
    name = next((name for name in (variable.name, *variable.old_names) if _text(environ, name)), None)
    if name is None:
        return variable.default
    text = _text(environ, name)
    try:
        return variable.kind.read(text)
    except Unfit as error:
        is_secret = variable.secret or _looks_secret(text, environ)
        shown = "a value that" if is_secret else f"{text[:100]!r}, which"
        why = f" ({error})" if str(error) else ""
        raise BadEnvironment(
            f"{name} is set to {shown} cannot be used{why}; it must be {variable.kind.allowed}."
        ) from None


def _text(environ: Mapping[str, str], name: str) -> str:
    """Return what ``name`` is set to, without spaces and one pair of double quotes around it."""
    text = environ.get(name, "").strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1].strip() if quoted else text


def _notes(environ: Mapping[str, str]) -> tuple[str, ...]:
    notes = [note for variable in VARIABLES for note in _notes_about(variable, environ)]
    strays = sorted(name for name in environ if name.startswith("GEMINI_API_KEYS_") and name not in NUMBERED_KEYS)
    notes += [_stray(name) for name in strays if _text(environ, name)]
    return (*notes, *(former.note(name) for name in former.UNUSED if _text(environ, name)))


def _stray(name: str) -> str:
    return f"WARNING: {name} is ignored: these names go from {NUMBERED_KEYS[0]} to {NUMBERED_KEYS[-1]}."


def _notes_about(variable: Variable, environ: Mapping[str, str]) -> list[str]:
    is_set = bool(_text(environ, variable.name))
    notes = []
    for old in filter(lambda name: _text(environ, name), variable.old_names):
        if is_set:
            notes.append(f"{old} is ignored, because {variable.name}, its name here, is set too.")
        else:
            notes.append(f"{old} is understood; its name here is {variable.name}.")
    return notes
