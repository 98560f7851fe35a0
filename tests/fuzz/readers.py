"""What reads files, pasted accounts and headers, fed with anything: what each may raise, and nothing else."""

from __future__ import annotations

import atexit
import base64
import contextlib
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hajimi_site import env_file, environment
from hajimi_site.metrics import basic_credential
from hajimi_site.moving_in.luggage import Luggage, Unreadable
from hajimi_site.moving_in.reading import READERS as FROM
from keys import accounts, importing
from keys.members import Doorkeeper, Throttled, UnknownPassword, credential
from proxy.api_request import Headers
from tests.anything import JSON, NEAR, TEXT, spoiled
from tests.gemini.vertex import pem_keys

Case = tuple[st.SearchStrategy[Any], Callable[[Any], object], tuple[type[Exception], ...]]
FOLDER = Path(tempfile.mkdtemp(prefix="hajimi-fuzz-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


# Service accounts


def account_of(text: str) -> None:
    """Read accounts as they are pasted, then as they are stored."""
    accounts.is_like_accounts(text)
    whole, _faults = accounts.parse_each(text)
    for account in whole:
        assert accounts.read(account.secret) == account
        accounts.is_token_server(account.token_uri, account.token_uri)
        importing.Credential.of_account(account)
    importing.accounts_in(text)


ACCOUNT = {
    "type": "service_account",
    "project_id": "my-project",
    "private_key_id": "0123abcd",
    "private_key": pem_keys()[0],
    "client_email": "robot@my-project.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
ADDRESSES = st.sampled_from(["http://[", "https://a@b/", "https://x.googleapis.com/t", "//", "https://\\\\x/"]) | TEXT
ACCOUNTS = st.one_of(
    spoiled(st.just(ACCOUNT)),
    spoiled(st.lists(st.just(ACCOUNT), max_size=2)),
    st.tuples(st.sampled_from([*ACCOUNT]), TEXT).map(lambda pair: ACCOUNT | {pair[0]: ACCOUNT[pair[0]] + pair[1]}),
    ADDRESSES.map(lambda address: ACCOUNT | {"token_uri": address}),
    TEXT.map(lambda text: ACCOUNT | {"private_key": ACCOUNT["private_key"][:-80] + text}),
    JSON,
).map(json.dumps)


def _disguised(drawn: tuple[str, int, str]) -> str:
    text, at, how = drawn
    cut = text[: len(text) - at] if at else text
    return base64.b64encode(cut.encode()).decode() if how == "base64" else cut * (2 if how == "twice" else 1)


PASTED = st.tuples(ACCOUNTS, st.integers(0, 40), st.sampled_from(["plain", "base64", "twice"])).map(_disguised) | TEXT


# Files


def env_file_of(content: bytes) -> None:
    """Read a file of variables, and then what the variables say."""
    found: dict[str, str] = {}
    env_file.load(_written(content), found)
    environment.secrets_in(found)
    with contextlib.suppress(environment.BadEnvironment):
        environment.read(found)


NAMES = [variable.name for variable in environment.VARIABLES] + ["GEMINI_API_KEYS_7", "X", "export X", "1", "", " a b"]
VALUES = st.one_of(
    TEXT,
    JSON.map(json.dumps),
    st.sampled_from(
        ["'a'", '"', "'", "$HOME", "${X", "$$", "\\$X", "a # b", "a=b=c", "[", "{", "1,,2", "\\", "\u2028"]
    ),
)
VARIABLES = st.tuples(st.sampled_from(NAMES), st.sampled_from(["=", " = ", "", "=="]), VALUES).map("".join)
LINES = st.lists(VARIABLES | TEXT, max_size=5)
FILES = st.one_of(
    LINES.map(lambda lines: "\n".join(lines).encode(errors="surrogatepass")),
    LINES.map(lambda lines: "\r\n".join(lines).encode("utf-8-sig", "replace")),
    LINES.map(lambda lines: "\n".join(lines).encode("utf-16", "replace")),
    st.binary(max_size=60),
)


def luggage_of(content: bytes) -> None:
    """Read a file as one of each other proxy."""
    path = _written(content)
    for read in FROM.values():
        with contextlib.suppress(Unreadable, env_file.BadEnvFile):
            assert isinstance(read(path), Luggage)


SETTINGS = st.dictionaries(
    st.sampled_from(
        [
            *(
                "GEMINI_API_KEYS",
                "GEMINI_API_KEYS_1",
                "PASSWORD",
                "GOOGLE_CREDENTIALS_JSON",
                "search",
                "SEARCH",
                "password",
            ),
            *("API_KEYS", "PAID_KEY", "VERTEX_API_KEYS", "ALLOWED_TOKENS", "AUTH_TOKEN", "MAX_RETRIES", "X"),
            *("AUTO_DELETE_REQUEST_LOGS_ENABLED", "AUTO_DELETE_REQUEST_LOGS_DAYS"),
        ]
    ),
    NEAR | st.dictionaries(TEXT, NEAR, max_size=2) | JSON.map(json.dumps) | st.just("[" * 3000),
    max_size=4,
)
CELLS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.binary(max_size=8),
    JSON.map(json.dumps),
    st.sampled_from(
        [0, 1, 24, 41, 42, 51, "[", "{", "http://[", "https://x.googleapis.com", "[[1", "[" * 3000, '["a",1,{}]']
    ),
)
TABLES: Mapping[str, tuple[str, ...]] = {
    "t_settings": ("key", "value"),
    "tokens": (
        *("id", "user_id", "key", "status", "name", "expired_time", "remain_quota", "unlimited_quota", "deleted_at"),
        *("models", "subnet", "model_limits_enabled", "model_limits", "allow_ips"),
    ),
    "channels": ("id", "type", "key", "status", "name", "base_url", "config", "channel_info"),
    "users": ("id", "username", "status", "deleted_at"),
}


@st.composite
def databases(draw: st.DrawFn) -> bytes:
    """Return a SQLite file whose tables have some of the columns of the other proxies', with anything in them."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for table, known in TABLES.items():
            columns = draw(st.lists(st.sampled_from(known), min_size=1, unique=True) | st.just([*known]))
            connection.execute(f"CREATE TABLE {table} ({','.join(columns)})")
            rows = draw(st.lists(st.tuples(*[CELLS] * len(columns)), max_size=2))
            marks = ",".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        connection.commit()
        whole = connection.serialize()
    at = draw(st.none() | st.integers(100, len(whole) - 1))
    return whole if at is None else whole[:at] + draw(st.binary(max_size=20)) + whole[at + 20 :]


def _written(content: bytes) -> Path:
    path = FOLDER / "file"
    path.write_bytes(content)
    return path


# Headers


def credential_of(drawn: tuple[list[tuple[bytes, bytes]], dict[str, str]]) -> None:
    """Find the credential of a request, and let it knock."""
    pairs, query = drawn
    headers = Headers(pairs)
    found = credential(headers, query)
    assert found is None or found.strip() == found != ""
    basic_credential(headers.get("authorization", ""))
    DOOR.authenticate(found, "2001:db8::1", {}, 0)


DOOR = Doorkeeper(digest=lambda text: hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest())
SCHEMES = st.sampled_from([b"Bearer ", b"bearer\t", b"Basic ", b"BASIC  ", b"Digest ", b"", b" "])
PAIRS = st.tuples(
    st.sampled_from([b"authorization", b"x-api-key", b"x-goog-api-key", b"cookie"]),
    st.tuples(SCHEMES, st.binary(max_size=30) | st.binary(max_size=20).map(base64.b64encode)).map(b"".join),
)

READERS: Mapping[str, Case] = {
    "service accounts": (PASTED, account_of, (accounts.BadAccount,)),
    "files of variables": (FILES, env_file_of, (env_file.BadEnvFile,)),
    "other proxies' files": (
        SETTINGS.map(lambda document: json.dumps(document).encode()) | FILES,
        luggage_of,
        (),
    ),
    "other proxies' databases": (databases(), luggage_of, ()),
    "credentials": (
        st.tuples(st.lists(PAIRS, max_size=3), st.dictionaries(st.just("key"), TEXT)),
        credential_of,
        (UnknownPassword, Throttled),
    ),
}
