"""Moving in from other proxies: their files, as they write them, become keys, members and settings here."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from keys import vault
from keys.importing import import_keys
from keys.models import Key, Member, Source
from proxy.models import Settings
from proxy.runtime import current_behaviour
from tests.databases import ABOUT_SQLITE
from tests.unit.test_accounts import account

pytestmark = [pytest.mark.django_db, ABOUT_SQLITE]

ONE, TWO, THREE = (f"AIzaSy{name:-<33}" for name in ("One", "Two", "Three"))
Move = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _fresh_pepper(settings: Any) -> Iterator[None]:
    settings.PASSWORD = None
    vault.forget()
    yield
    vault.forget()


@pytest.fixture
def move() -> Move:
    """Run the command and return its document."""

    def run(proxy: str, file: Path, **options: Any) -> dict[str, Any]:
        out = StringIO()
        call_command("import_from", proxy, str(file), json=True, stdout=out, **options)
        document: dict[str, Any] = json.loads(out.getvalue())
        return document

    return run


def database(path: Path, **tables: tuple[str, list[tuple[Any, ...]]]) -> Path:
    """Write a SQLite database: each table's columns and rows."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for name, (columns, rows) in tables.items():
            connection.execute(f"CREATE TABLE {name} ({columns})")
            marks = ",".join("?" * len(columns.split(",")))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        connection.commit()
    return path


def counts(added: int, skipped: int, refused: int = 0) -> dict[str, int]:
    return {"added": added, "skipped": skipped, "refused": refused}


def opens(password: str) -> str | None:
    return Member.objects.filter(digest=vault.digest(password), enabled=True).values_list("name", flat=True).first()


# The original.


def settings_json(path: Path, **changes: Any) -> Path:
    document = {
        "GEMINI_API_KEYS": f"{ONE},{TWO}",
        "GOOGLE_CREDENTIALS_JSON": json.dumps(account()),
        "VERTEX_EXPRESS_API_KEY": "",
        "MAX_RETRY_NUM": 7,
        "MAX_REQUESTS_PER_MINUTE": 12,
        "FAKE_STREAMING": False,
        "FAKE_STREAMING_INTERVAL": 2,
        "RANDOM_STRING": True,
        "CACHE_EXPIRY_TIME": 21600,
        "api_call_stats": {},
        **changes,
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_the_originals_settings_json_moves_in(move: Move, tmp_path: Path) -> None:
    told = move("hajimi", settings_json(tmp_path / "settings.json"))

    assert (told["keys"], told["settings"]) == (counts(3, 0), counts(4, 1))
    assert set(Key.objects.values_list("kind", flat=True)) == {"ai_studio", "vertex_service_account"}
    now = current_behaviour()
    assert (now.max_attempts, now.max_requests_per_minute, now.fake_streaming) == (7, 12, False)
    assert now.heartbeat_seconds == 2


def test_moving_in_twice_adds_nothing(move: Move, tmp_path: Path) -> None:
    file = settings_json(tmp_path / "settings.json")
    move("hajimi", file)

    again = move("hajimi", file)

    assert (again["keys"], again["settings"]) == (counts(0, 3), counts(0, 5))


@pytest.mark.parametrize("proxy", ["gemini-balance", "one-api", "new-api"])
def test_the_others_moving_in_twice_adds_nothing_either(move: Move, tmp_path: Path, proxy: str) -> None:
    file = balance(tmp_path / "file") if proxy == "gemini-balance" else api(tmp_path / "file")
    first = move(proxy, file)

    again = move(proxy, file)

    for kind in ("keys", "members", "settings"):
        assert again[kind] == counts(0, sum(first[kind].values())), kind


def test_a_file_of_the_originals_variables_moves_in_with_its_password(move: Move, tmp_path: Path) -> None:
    file = tmp_path / "old.env"
    file.write_text(f"GEMINI_API_KEYS={ONE}\nGEMINI_API_KEYS_1='{TWO}'\nPASSWORD=ours-since-2025\nMAX_RETRY_NUM=lots\n")

    told = move("hajimi", file)

    assert (told["keys"]["added"], told["members"]["added"]) == (2, 1)
    assert told["settings"]["refused"] == 1
    assert "MAX_RETRY_NUM" in " ".join(told["notes"])
    assert opens("ours-since-2025") == "shared"


def test_what_an_admin_has_chosen_here_stays(move: Move, tmp_path: Path) -> None:
    Settings.objects.update_or_create(pk=1, defaults={"max_attempts": 3})

    told = move("hajimi", settings_json(tmp_path / "settings.json"))

    assert current_behaviour().max_attempts == 3
    assert told["settings"]["added"] == 3


def test_a_broken_account_is_told_and_the_rest_moves_in(move: Move, tmp_path: Path) -> None:
    broken = json.dumps(account(private_key=None))

    told = move("hajimi", settings_json(tmp_path / "settings.json", GOOGLE_CREDENTIALS_JSON=broken))

    assert told["keys"] == counts(2, 0, 1)
    assert "lacks private_key" in " ".join(told["notes"])


# gemini-balance.


def balance(path: Path, changes: Mapping[str, str] | None = None) -> Path:
    rows = {
        "API_KEYS": json.dumps([ONE, TWO, ONE]),
        "ALLOWED_TOKENS": json.dumps(["first-password-1", "second-password-2"]),
        "AUTH_TOKEN": "first-password-1",
        "VERTEX_API_KEYS": json.dumps(["AQ.express-key-number-one"]),
        "PAID_KEY": THREE,
        "MAX_RETRIES": "4",
        "TIME_OUT": "120",
        "FILTERED_MODELS": json.dumps(["gemini-1.5-flash", "gemini-1.0-pro"]),
        "FAKE_STREAM_ENABLED": "false",
        "SHOW_SEARCH_LINK": "true",
        "AUTO_DELETE_REQUEST_LOGS_ENABLED": "true",
        "AUTO_DELETE_REQUEST_LOGS_DAYS": "14",
        "STREAM_CHUNK_SIZE": "5",
        **(changes or {}),
    }
    columns = "id INTEGER, key TEXT, value TEXT, description TEXT"
    listed = [(number, name, value, "") for number, (name, value) in enumerate(rows.items())]
    return database(path, t_settings=(columns, listed))


def test_gemini_balances_settings_table_moves_in(move: Move, tmp_path: Path) -> None:
    told = move("gemini-balance", balance(tmp_path / "default_db"))

    assert (told["keys"], told["members"]) == (counts(4, 1), counts(2, 0))
    assert [opens("first-password-1"), opens("second-password-2")] == ["gemini-balance 1", "gemini-balance 2"]
    now = current_behaviour()
    assert (now.max_attempts, now.upstream_timeout_seconds, now.log_retention_days) == (4, 120, 14)
    assert (now.blocked_models, now.fake_streaming) == (("gemini-1.5-flash", "gemini-1.0-pro"), False)
    assert now.list_sources is True


def test_gemini_balances_variables_move_in_too(move: Move, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f'API_KEYS=["{ONE}","{TWO}"]\nALLOWED_TOKENS=["first-password-1"]\nMAX_RETRIES=4\n')

    told = move("gemini-balance", file)

    assert (told["keys"]["added"], told["members"]["added"], told["settings"]["added"]) == (2, 1, 1)


# one-api and new-api.

TOKENS = (
    "id INTEGER, key TEXT, status INTEGER, name TEXT, expired_time INTEGER, unlimited_quota INTEGER, "
    "model_limits_enabled INTEGER, model_limits TEXT, deleted_at TEXT"
)
CHANNELS = "id INTEGER, type INTEGER, key TEXT, status INTEGER, name TEXT"


def api(path: Path) -> Path:
    tokens = [
        (1, "k" * 48, 1, "Anna", -1, 1, 0, "", None),
        (2, "l" * 48, 2, "Bert", -1, 0, 0, "", None),
        (3, "m" * 48, 1, "Anna", 4102444800, 0, 1, "gemini-2.5-pro,gemini-2.5-flash", None),
        (4, "n" * 48, 1, "Gone", -1, 1, 0, "", "2026-01-01"),
    ]
    channels = [
        (1, 24, f"{ONE}\n{TWO}", 1, "google"),
        (2, 1, "sk-openai", 1, "openai"),
        (3, 41, json.dumps(account()), 1, "vertex"),
    ]
    return database(path, tokens=(TOKENS, tokens), channels=(CHANNELS, channels))


@pytest.mark.parametrize("proxy", ["one-api", "new-api"])
def test_tokens_become_members_and_googles_channels_keys(move: Move, tmp_path: Path, proxy: str) -> None:
    told = move(proxy, api(tmp_path / "one-api.db"))

    assert (told["keys"], told["members"]) == (counts(3, 0), counts(3, 0))
    assert opens("sk-" + "k" * 48) == "Anna"
    assert opens("sk-" + "l" * 48) is None
    limited = Member.objects.get(name="Anna (2)")
    assert limited.allowed_models.split() == ["gemini-2.5-pro", "gemini-2.5-flash"]
    assert limited.expires_at is not None
    notes = " ".join(told["notes"])
    assert "2 quotas" in notes
    assert "1 channels" in notes


def test_ends_of_tokens_that_are_no_time_are_none(move: Move, tmp_path: Path) -> None:
    ends: tuple[Any, ...] = (10**18, "soon", None, 0, 4102444800)
    rows = [(number, f"{number}" * 32, 1, f"Anna {number}", end, 1) for number, end in enumerate(ends)]
    columns = "id INTEGER, key TEXT, status INTEGER, name TEXT, expired_time, unlimited_quota INTEGER"
    file = database(tmp_path / "a name with # and ?.db", tokens=(columns, rows), channels=(CHANNELS, []))

    assert move("one-api", file)["members"] == counts(5, 0)
    limited = Member.objects.filter(expires_at__isnull=False)
    assert list(limited.values_list("name", flat=True)) == ["Anna 4"]


def test_an_older_one_api_without_the_newer_columns_moves_in(move: Move, tmp_path: Path) -> None:
    columns = "id INTEGER, key TEXT, status INTEGER, name TEXT, expired_time INTEGER, unlimited_quota INTEGER"
    file = database(tmp_path / "old.db", tokens=(columns, [(1, "k" * 32, 1, "Anna", -1, 1)]), channels=(CHANNELS, []))

    assert move("one-api", file)["members"] == counts(1, 0)


# All of them.


def test_a_dry_run_tells_and_changes_nothing(move: Move, tmp_path: Path) -> None:
    import_keys([ONE], Source.ADMIN)

    told = move("one-api", api(tmp_path / "one-api.db"), dry_run=True)

    assert (told["keys"], told["members"]) == (counts(2, 1), counts(3, 0))
    assert (Key.objects.count(), Member.objects.count()) == (1, 0)


def test_people_are_told_in_lines_without_secrets(tmp_path: Path) -> None:
    out = StringIO()

    call_command("import_from", "one-api", str(api(tmp_path / "one-api.db")), stdout=out)

    printed = out.getvalue()
    assert "Keys: 3 added, 0 already there." in printed
    assert "Members: 3 added, 0 already there." in printed
    assert ONE not in printed
    assert "kkkk" not in printed


@pytest.mark.parametrize(
    ("proxy", "content", "complaint"),
    [
        ("hajimi", b"{", "is not valid JSON"),
        ("hajimi", b"", "holds neither JSON nor NAME=value lines"),
        ("hajimi", b"\xff\xfe", "is not UTF-8 text"),
        ("one-api", b"hello", "is no SQLite database"),
        ("gemini-balance", b"SQLite format 3\x00 but not really", "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_sentence(
    tmp_path: Path, proxy: str, content: bytes, complaint: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)

    with pytest.raises(CommandError, match=complaint):
        call_command("import_from", proxy, str(file))


@pytest.mark.parametrize("proxy", ["gemini-balance", "one-api", "new-api"])
def test_a_database_of_something_else_is_refused_in_one_sentence(tmp_path: Path, proxy: str) -> None:
    file = database(tmp_path / "file", other=("a INTEGER", [(1,)]))

    with pytest.raises(CommandError, match="no such table"):
        call_command("import_from", proxy, str(file))


@pytest.mark.parametrize("proxy", ["gemini-balance", "one-api", "new-api"])
def test_tables_of_the_same_names_with_other_columns_bring_nothing(move: Move, tmp_path: Path, proxy: str) -> None:
    one = ("a INTEGER, b INTEGER", [(1, 2)])

    told = move(proxy, database(tmp_path / "file", t_settings=one, tokens=one, channels=one))

    assert told["keys"] == told["members"] == told["settings"] == counts(0, 0)


@pytest.mark.parametrize("proxy", ["hajimi", "gemini-balance", "one-api", "new-api"])
def test_a_folder_is_no_file(tmp_path: Path, proxy: str) -> None:
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        call_command("import_from", proxy, str(tmp_path))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_from", "hajimi", str(tmp_path / "nowhere"))
