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
from keys.bootstrap import bootstrap
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
        "search": {"search_mode": True, "search_prompt": "Look it up."},
        "CACHE_EXPIRY_TIME": 21600,
        "api_call_stats": {},
        **changes,
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_the_originals_settings_json_moves_in(move: Move, tmp_path: Path) -> None:
    told = move("hajimi", settings_json(tmp_path / "settings.json"))

    assert (told["keys"], told["settings"]) == (counts(3, 0), counts(6, 1))
    assert set(Key.objects.values_list("kind", flat=True)) == {"ai_studio", "vertex_service_account"}
    now = current_behaviour()
    assert (now.max_attempts, now.max_requests_per_minute, now.fake_streaming) == (7, 12, False)
    assert now.heartbeat_seconds == 2
    assert (now.search_mode, now.search_prompt) == (True, "Look it up.")


def test_ssrf_an_account_whose_token_uri_leads_elsewhere_does_not_move_in(move: Move, tmp_path: Path) -> None:
    both = json.dumps([account("one", token_uri="http://127.0.0.1:8080/token"), account("two")])

    told = move("hajimi", settings_json(tmp_path / "settings.json", GOOGLE_CREDENTIALS_JSON=both))

    assert told["keys"] == counts(3, 0, 1)
    assert "1 service accounts cannot be used: their token_uri is not Google's." in told["notes"]


def test_moving_in_twice_adds_nothing(move: Move, tmp_path: Path) -> None:
    file = settings_json(tmp_path / "settings.json")
    move("hajimi", file)

    again = move("hajimi", file)

    assert (again["keys"], again["settings"]) == (counts(0, 3), counts(0, 7))


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
    assert told["settings"]["added"] == 5


def test_a_broken_account_is_told_and_the_rest_moves_in(move: Move, tmp_path: Path) -> None:
    accounts = json.dumps([account("one"), account(private_key=None), account("three")])

    told = move("hajimi", settings_json(tmp_path / "settings.json", GOOGLE_CREDENTIALS_JSON=accounts))

    assert told["keys"] == counts(4, 0, 1)
    assert "service account 2 lacks private_key" in " ".join(told["notes"])


def test_what_stays_behind_is_named_without_its_value(move: Move, tmp_path: Path) -> None:
    file = settings_json(
        tmp_path / "settings.json", TZ="Asia/Shanghai", ALLOWED_ORIGINS="https://a.example", INVALID_API_KEYS=THREE
    )

    notes = move("hajimi", file)["notes"]

    assert (
        "Left behind: 2 settings that are read at the start only; set them as variables: ALLOWED_ORIGINS, TZ." in notes
    )
    assert "Left behind: 2 settings that mean nothing here: CACHE_EXPIRY_TIME, INVALID_API_KEYS." in notes
    assert THREE not in " ".join(notes)


def test_credentials_of_vertex_wait_until_it_is_on_and_that_is_told(move: Move, tmp_path: Path) -> None:
    off, on = (settings_json(tmp_path / f"{name}.json", ENABLE_VERTEX=name == "on") for name in ("off", "on"))

    assert "ENABLE_VERTEX" in " ".join(move("hajimi", off, dry_run=True)["notes"])
    assert "ENABLE_VERTEX" not in " ".join(move("hajimi", on)["notes"])


@pytest.mark.parametrize("before", [False, True], ids=["fresh", "after a first start"])
def test_a_password_that_is_easy_to_guess_is_warned_of(move: Move, tmp_path: Path, before: bool) -> None:
    if before:
        bootstrap(keys=(), password=None, admin_username="admin", admin_password="")
    file = tmp_path / "old.env"
    file.write_text("PASSWORD=12345\n")

    told = move("hajimi", file)

    assert opens("12345") == "shared"
    assert "WARNING: the password of shared is easy to guess" in " ".join(told["notes"])
    # The default password ended, and left no member behind that nothing opens.
    assert (opens("123"), Member.objects.count()) == (None, 1)


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


def test_a_list_nested_too_deep_is_no_list_and_breaks_nothing(move: Move, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"API_KEYS": "[" * 100_000, "MAX_RETRIES": "4"}))

    told = move("gemini-balance", file)

    assert (told["keys"], told["settings"]["added"]) == (counts(0, 0, 1), 1)


def test_settings_of_gemini_balance_that_mean_nothing_here_are_named(move: Move, tmp_path: Path) -> None:
    file = balance(tmp_path / "default_db", {"LOG_LEVEL": "INFO", "PROXIES": "[]", "TIMEZONE": "Asia/Shanghai"})

    notes = move("gemini-balance", file)["notes"]

    assert "Left behind: 3 settings that mean nothing here: LOG_LEVEL, STREAM_CHUNK_SIZE, TIMEZONE." in notes


def test_gemini_balances_table_moves_in_as_json_too(move: Move, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(
        json.dumps({"API_KEYS": json.dumps([ONE, TWO]), "MAX_RETRIES": "4", "AUTH_TOKEN": "first-password"})
    )

    told = move("gemini-balance", file)

    assert (told["keys"]["added"], told["members"]["added"], told["settings"]["added"]) == (2, 1, 1)


# one-api and new-api: the columns that matter, as each of them writes them.

USERS = "id INTEGER, username TEXT, status INTEGER"
ALL_USERS = [(1, "root", 1), (2, "banned", 2)]
ONE_API_TOKENS = (
    "id INTEGER, user_id INTEGER, key TEXT, status INTEGER, name TEXT, expired_time INTEGER, remain_quota INTEGER, "
    "unlimited_quota NUMERIC, models TEXT, subnet TEXT"
)
ONE_API_CHANNELS = "id INTEGER, type INTEGER, key TEXT, status INTEGER, name TEXT, base_url TEXT, config TEXT"
NEW_API_TOKENS = (
    "id INTEGER, user_id INTEGER, key TEXT, status INTEGER, name TEXT, expired_time INTEGER, remain_quota INTEGER, "
    "unlimited_quota NUMERIC, model_limits_enabled NUMERIC, model_limits TEXT, allow_ips TEXT, deleted_at TEXT"
)
NEW_API_CHANNELS = (
    "id INTEGER, type INTEGER, key TEXT, status INTEGER, name TEXT, base_url TEXT, channel_info BLOB, settings TEXT"
)
LATER = 4102444800
MODELS = "gemini-2.5-pro,gemini-2.5-flash"


def one_api(path: Path) -> Path:
    tokens = [
        (1, 1, "k" * 48, 1, "Anna", -1, 0, 1, "", ""),
        (2, 1, "l" * 48, 2, "Bert", -1, 500, 0, None, None),
        (3, 1, "m" * 48, 1, "Anna", LATER, 500, 0, MODELS, "10.0.0.0/8"),
        (4, 2, "n" * 48, 1, "of a banned user", -1, 0, 1, "", ""),
        (5, 1, "o" * 48, 1, "used up", -1, 0, 0, "", ""),
        (6, 9, "p" * 48, 1, "of a user who is gone", -1, 0, 1, "", ""),
    ]
    adc = {"region": "us-central1", "vertex_ai_project_id": "my-project", "vertex_ai_adc": json.dumps(account())}
    channels = [
        (1, 24, ONE, 1, "google", "", ""),
        (2, 24, TWO, 3, "google, switched off", "https://generativelanguage.googleapis.com", ""),
        (3, 51, THREE, 1, "google in OpenAI's form", None, None),
        (4, 24, "sk-of-another-proxy-0123456789", 1, "a relay", "https://googleapis.com.relay.example", ""),
        (5, 41, "sk_novita_0123456789", 1, "novita", "", ""),
        (6, 42, "", 1, "vertex", "", json.dumps(adc)),
        (7, 42, "", 1, "vertex without account", "", "{}"),
        (8, 1, "sk-openai", 1, "openai", "", ""),
    ]
    return database(
        path, users=(USERS, ALL_USERS), tokens=(ONE_API_TOKENS, tokens), channels=(ONE_API_CHANNELS, channels)
    )


def new_api(path: Path) -> Path:
    tokens = [
        (1, 1, "k" * 48, 1, "Anna", -1, 0, 1, 0, "", "", None),
        (2, 1, "l" * 48, 2, "Bert", -1, 500, 0, 0, MODELS, None, None),
        (3, 1, "m" * 48, 1, "Anna", LATER, 500, 0, 1, MODELS, "10.0.0.1\n10.0.0.2", None),
        (4, 2, "n" * 48, 1, "of a banned user", -1, 0, 1, 0, "", "", None),
        (5, 1, "o" * 48, 1, "used up", -1, 0, 0, 0, "", "", None),
        (6, 1, "p" * 48, 1, "limited to nothing", -1, 0, 1, 1, "", "", None),
        (7, 1, "q" * 48, 1, "deleted", -1, 0, 1, 0, "", "", "2026-01-01"),
    ]
    # Go writes JSON columns as bytes.
    multi = json.dumps({"is_multi_key": True, "multi_key_status_list": {"1": 3}}).encode()
    channels = [
        (1, 24, f"{ONE}\n{TWO}", 1, "google", "", multi, ""),
        (2, 24, THREE, 2, "google, switched off", "", b"{}", ""),
        (3, 24, "sk-of-another-proxy-0123456789", 1, "a relay", "https://relay.example/gemini", b"{}", ""),
        (
            4,
            41,
            json.dumps([account("one"), {"type": "service_account"}, account("three")]),
            1,
            "vertex",
            "",
            b"{}",
            "",
        ),
        (5, 41, json.dumps(account("five"), indent=2), 1, "vertex alone", None, None, None),
        (6, 41, "AQ.express-key-number-one", 1, "express", "", b"{}", json.dumps({"vertex_key_type": "api_key"})),
        (7, 42, "mistral-0123456789", 1, "mistral", "", b"{}", ""),
        (8, 51, "jimeng-0123456789", 1, "jimeng", "", b"{}", ""),
    ]
    return database(
        path, users=(USERS, ALL_USERS), tokens=(NEW_API_TOKENS, tokens), channels=(NEW_API_CHANNELS, channels)
    )


API: Mapping[str, Callable[[Path], Path]] = {"one-api": one_api, "new-api": new_api}


@pytest.mark.parametrize("proxy", API)
def test_tokens_become_members_and_open_only_where_they_opened_there(move: Move, tmp_path: Path, proxy: str) -> None:
    told = move(proxy, API[proxy](tmp_path / "one-api.db"))

    assert told["members"] == counts(6, 0)
    assert {letter: opens(f"sk-{letter * 48}") for letter in "klmnopq"} == dict.fromkeys("klmnopq") | {
        "k": "Anna",
        "m": "Anna (2)",
    }
    limited = Member.objects.get(name="Anna (2)")
    assert limited.allowed_models.split() == ["gemini-2.5-pro", "gemini-2.5-flash"]
    assert limited.expires_at is not None
    notes = told["notes"]
    assert "Left behind: 3 quotas of tokens" in " ".join(notes)
    assert "Left behind: 1 lists of addresses (Anna): here a member's password opens from anywhere." in notes
    assert "1 members are disabled here, because each was disabled there: Bert." in notes
    assert "1 members are disabled here, because each had used up its quota there: used up." in notes
    banned = "belonged to a user who was banned or deleted there"
    assert f"members are disabled here, because each {banned}: of a banned user" in " ".join(notes)


def test_a_token_of_new_api_with_an_empty_list_of_models_opens_nothing(move: Move, tmp_path: Path) -> None:
    notes = move("new-api", new_api(tmp_path / "one-api.db"))["notes"]

    assert "1 members are disabled here, because each was allowed no model there: limited to nothing." in notes


def kinds() -> dict[str, set[str]]:
    """Return the ends of the keys here, by kind; of those that are disabled under "disabled"."""
    found: dict[str, set[str]] = {}
    for key in Key.objects.all():
        found.setdefault("disabled" if key.disabled_by else key.kind, set()).add(vault.decrypt(key.ciphertext))
    return found


def test_channels_of_one_api_that_lead_to_google_become_keys(move: Move, tmp_path: Path) -> None:
    told = move("one-api", one_api(tmp_path / "one-api.db"))

    found = kinds()
    assert (found["ai_studio"], found["disabled"], "vertex_express" in found) == ({ONE, THREE}, {TWO}, False)
    assert len(found["vertex_service_account"]) == 1
    assert told["keys"] == counts(4, 0, 1)
    notes = told["notes"]
    assert "1 keys were disabled there and are disabled here." in notes
    assert "Left behind: 2 channels that are neither Gemini's nor Vertex AI's." in notes
    assert "1 channels that reach another server than Google's (a relay)" in " ".join(notes)
    assert "Service accounts of channel vertex without account cannot be used" in " ".join(notes)


def test_channels_of_new_api_that_lead_to_google_become_keys(move: Move, tmp_path: Path) -> None:
    told = move("new-api", new_api(tmp_path / "one-api.db"))

    found = kinds()
    assert (found["ai_studio"], found["disabled"]) == ({ONE}, {TWO, THREE})
    assert found["vertex_express"] == {"AQ.express-key-number-one"}
    assert len(found["vertex_service_account"]) == 3
    assert told["keys"] == counts(7, 0, 1)
    notes = " ".join(told["notes"])
    assert "2 keys were disabled there and are disabled here." in notes
    assert "2 channels that are neither Gemini's nor Vertex AI's" in notes
    assert "1 channels that reach another server than Google's (a relay)" in notes
    assert "Service accounts of channel vertex cannot be used: service account 2 lacks" in notes


def test_a_key_that_is_on_in_one_channel_and_off_in_another_is_on(move: Move, tmp_path: Path) -> None:
    channels = [(1, 24, ONE, 2, "off", "", b"{}", ""), (2, 24, ONE, 1, "on", "", b"{}", "")]
    tables = {"users": (USERS, ALL_USERS), "tokens": (NEW_API_TOKENS, []), "channels": (NEW_API_CHANNELS, channels)}

    move("new-api", database(tmp_path / "one-api.db", **tables))

    assert kinds() == {"ai_studio": {ONE}}


@pytest.mark.parametrize(("said", "file"), [("one-api", new_api), ("new-api", one_api)])
def test_a_database_of_the_other_one_is_refused(tmp_path: Path, said: str, file: Callable[[Path], Path]) -> None:
    # Both are called one-api.db.
    with pytest.raises(CommandError, match=f"not of {said}: say "):
        call_command("import_from", said, str(file(tmp_path / "one-api.db")))


OLD_TOKENS = "id INTEGER, user_id INTEGER, key TEXT, status INTEGER, name TEXT, expired_time, unlimited_quota INTEGER"


def test_ends_of_tokens_that_are_no_time_are_none(move: Move, tmp_path: Path) -> None:
    ends: tuple[Any, ...] = (10**18, "soon", None, 0, LATER)
    rows = [(number, 1, f"{number}" * 32, 1, f"Anna {number}", end, 1) for number, end in enumerate(ends)]
    tables = {"users": (USERS, ALL_USERS), "tokens": (OLD_TOKENS, rows), "channels": (ONE_API_CHANNELS, [])}
    file = database(tmp_path / "a name with # and ?.db", **tables)

    assert move("one-api", file)["members"] == counts(5, 0)
    limited = Member.objects.filter(expires_at__isnull=False)
    assert list(limited.values_list("name", flat=True)) == ["Anna 4"]


@pytest.mark.parametrize("proxy", API)
def test_an_older_one_without_the_newer_columns_moves_in(move: Move, tmp_path: Path, proxy: str) -> None:
    channels = ("id INTEGER, type INTEGER, key TEXT, status INTEGER, name TEXT", [(1, 24, ONE, 1, "google")])
    tokens = (OLD_TOKENS, [(1, 1, "k" * 32, 1, "Anna", -1, 1)])
    file = database(tmp_path / "old.db", users=(USERS, ALL_USERS), tokens=tokens, channels=channels)

    told = move(proxy, file)

    assert (told["keys"], told["members"]) == (counts(1, 0), counts(1, 0))
    assert opens("sk-" + "k" * 32) == "Anna"


# All of them.


@pytest.mark.parametrize("proxy", ["gemini-balance", *API])
def test_the_others_moving_in_twice_adds_nothing_either(move: Move, tmp_path: Path, proxy: str) -> None:
    file = {**API, "gemini-balance": balance}[proxy](tmp_path / "file")
    first = move(proxy, file)

    again = move(proxy, file)

    for kind in ("keys", "members", "settings"):
        there = first[kind]["added"] + first[kind]["skipped"]
        assert again[kind] == counts(0, there, first[kind]["refused"]), kind


def test_a_dry_run_tells_and_changes_nothing(move: Move, tmp_path: Path) -> None:
    import_keys([ONE], Source.ADMIN)

    told = move("one-api", one_api(tmp_path / "one-api.db"), dry_run=True)

    assert (told["keys"], told["members"]) == (counts(3, 1, 1), counts(6, 0))
    assert (Key.objects.count(), Member.objects.count()) == (1, 0)


def test_people_are_told_in_lines_without_secrets(tmp_path: Path) -> None:
    out = StringIO()

    call_command("import_from", "one-api", str(one_api(tmp_path / "one-api.db")), stdout=out)

    printed = out.getvalue()
    assert "Keys: 4 added, 0 already there, 1 cannot be used." in printed
    assert "Members: 6 added, 0 already there." in printed
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

    told = move(proxy, database(tmp_path / "file", t_settings=one, users=one, tokens=one, channels=one))

    assert told["keys"] == told["members"] == told["settings"] == counts(0, 0)


@pytest.mark.parametrize("proxy", ["hajimi", "gemini-balance", "one-api", "new-api"])
def test_a_folder_is_no_file(tmp_path: Path, proxy: str) -> None:
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        call_command("import_from", proxy, str(tmp_path))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_from", "hajimi", str(tmp_path / "nowhere"))
