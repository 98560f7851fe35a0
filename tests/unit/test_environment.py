"""What the environment may say, what it may not, and what a person is told."""

from __future__ import annotations

import ast
import importlib.util
import multiprocessing
import os
import stat
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from django.core.exceptions import ImproperlyConfigured

from hajimi_site import env_file, environment, former, secret_key
from proxy.behaviour import HELP, Behaviour
from proxy.models import Settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = {variable.name: variable for variable in environment.VARIABLES}


def sample_secret_key() -> str:
    """Return the text that deploy/kubernetes.yaml has in place of a key."""
    text = (ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
    return text.partition('SECRET_KEY: "')[2].partition('"')[0]


def read(**environ: str) -> dict[str, object]:
    return dict(environment.read(environ).values)


def refusal(**environ: str) -> str:
    with pytest.raises(environment.BadEnvironment) as caught:
        environment.read(environ)
    return str(caught.value)


def load_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **environ: str) -> ModuleType:
    for name in (*NAMES, "SPACE_ID", "SPACE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path / "data"), **environ}.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("settings_under_test", ROOT / "hajimi_site" / "settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Defaults


def test_the_seed_variables_have_the_defaults_people_know() -> None:
    values = read()

    assert values["GEMINI_API_KEYS"] == ()
    assert values["PASSWORD"] is None
    assert values["TZ"] == "Asia/Shanghai"
    assert environment.behaviour(values) == Behaviour()
    known = {
        "MAX_REQUESTS_PER_MINUTE": 30,
        "MAX_REQUESTS_PER_DAY_PER_IP": 600,
        "FAKE_STREAMING": True,
        "API_KEY_DAILY_LIMIT": 100,
        "MAX_EMPTY_RESPONSES": 5,
        "RANDOM_STRING": True,
        "RANDOM_STRING_LENGTH": 5,
        "CONCURRENT_REQUESTS": 1,
        "INCREASE_CONCURRENT_ON_FAILURE": 0,
        "MAX_CONCURRENT_REQUESTS": 3,
        "SEARCH_MODE": False,
        "SEARCH_PROMPT": "（使用搜索工具联网搜索，需要在content中结合搜索内容）",
        "MAX_ATTEMPTS": 15,
        "HEADERS_HOLD_SECONDS": 15,
        "HEARTBEAT_SECONDS": 5,
        "UPSTREAM_TIMEOUT_SECONDS": 600,
        "LOG_RETENTION_DAYS": 30,
        "PORT": 7860,
        "MAX_BODY_MB": 32,
        "DRAIN_SECONDS": 20,
    }
    assert {name: values[name] for name in known} == known


def test_every_default_is_a_value_the_variable_allows() -> None:
    for variable in environment.VARIABLES:
        if variable.default in (None, "", ()):
            continue
        shown = str(variable.default).lower() if isinstance(variable.default, bool) else str(variable.default)
        assert variable.kind.read(shown) == variable.default, variable.name


def test_an_empty_variable_is_an_unset_one() -> None:
    assert read(MAX_ATTEMPTS="", PASSWORD="  ", TZ='""', FAKE_STREAMING=" ") == read()


def test_behaviour_settings_form_and_variables_are_the_same_list() -> None:
    behaviour = [field.name for field in fields(Behaviour)]
    form = [field.name for field in Settings._meta.get_fields() if field.name != "id"]

    assert sorted(form) == sorted(behaviour)
    assert set(HELP) == set(behaviour)
    assert {name.upper() for name in behaviour} <= set(NAMES)


def test_the_form_allows_the_numbers_the_environment_allows() -> None:
    for field in fields(Behaviour):
        if "least" not in field.metadata:
            continue
        limits = {type(v).__name__: v.limit_value for v in Settings._meta.get_field(field.name).validators}
        assert limits.get("MinValueValidator") == field.metadata["least"], field.name
        if field.metadata["most"] is not None:
            assert limits.get("MaxValueValidator") == field.metadata["most"], field.name


# Reading


@pytest.mark.parametrize("text", ["true", "1", "yes", "on", "TRUE", "On", ' "true" '])
def test_it_reads_yes(text: str) -> None:
    assert read(SEARCH_MODE=text)["SEARCH_MODE"] is True


@pytest.mark.parametrize("text", ["false", "0", "no", "off", "False", "OFF"])
def test_it_reads_no(text: str) -> None:
    assert read(FAKE_STREAMING=text)["FAKE_STREAMING"] is False


@pytest.mark.parametrize("text", ["a,b,c", "a b c", "a\nb\r\nc", " a, b ,,c,", '"a","b","c"', '"a,b,c"', "a；b，c"])
def test_lists_may_be_written_in_any_usual_way(text: str) -> None:
    assert read(GEMINI_API_KEYS=text)["GEMINI_API_KEYS"] == ("a", "b", "c")


def test_numbered_key_variables_are_added_even_with_gaps() -> None:
    values = read(GEMINI_API_KEYS="a", GEMINI_API_KEYS_1="b", GEMINI_API_KEYS_50="c d", GEMINI_API_KEYS_99="e")

    assert values["GEMINI_API_KEYS"] == ("a", "b", "c", "d", "e")


def test_seconds_may_be_decimals() -> None:
    assert read(HEARTBEAT_SECONDS="0.25")["HEARTBEAT_SECONDS"] == 0.25


def test_one_pair_of_quotes_around_a_value_is_taken_off() -> None:
    assert read(PASSWORD='"secret"')["PASSWORD"] == "secret"
    assert read(PASSWORD='sec"ret')["PASSWORD"] == 'sec"ret'
    assert read(PASSWORD='"secret')["PASSWORD"] == '"secret'


def test_an_address_loses_its_trailing_slash() -> None:
    assert read(GEMINI_BASE_URL="http://127.0.0.1:9/")["GEMINI_BASE_URL"] == "http://127.0.0.1:9"


def test_all_origins_may_be_written_as_a_star() -> None:
    assert read(ALLOWED_ORIGINS="*")["ALLOWED_ORIGINS"] == ()
    assert read(ALLOWED_ORIGINS="https://a.example/ http://b")["ALLOWED_ORIGINS"] == ("https://a.example", "http://b")


# Refusals


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SEARCH_MODE", "2"),
        ("FAKE_STREAMING", "maybe"),
        ("CONCURRENT_REQUESTS", "0"),
        ("MAX_REQUESTS_PER_MINUTE", "-1"),
        ("MAX_REQUESTS_PER_DAY_PER_IP", "-1"),
        ("API_KEY_DAILY_LIMIT", "ten"),
        ("API_KEY_DAILY_LIMIT", "1.5"),
        ("RANDOM_STRING_LENGTH", "9" * 30),
        ("MAX_ATTEMPTS", "0"),
        ("HEARTBEAT_SECONDS", "nan"),
        ("HEARTBEAT_SECONDS", "1e3"),
        ("HEADERS_HOLD_SECONDS", "inf"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("TZ", "Mars/Olympus"),
        ("TZ", "../../etc/passwd"),
        ("TZ", "America"),
        ("GEMINI_BASE_URL", "generativelanguage.googleapis.com"),
        ("GEMINI_BASE_URL", "ftp://host"),
        ("GEMINI_BASE_URL", "https://host:port"),
        ("GEMINI_BASE_URL", "https://host:99999"),
        ("TRUSTED_PROXIES", "10.0.0.0/99"),
        ("CSRF_TRUSTED_ORIGINS", "host.example"),
        ("ALLOWED_ORIGINS", "host.example"),
        ("LANGUAGE_CODE", "fr"),
        ("EVENT_LOOP", "trio"),
        ("SERVER", "apache"),
        ("MAX_BODY_MB", "0"),
        ("WORKERS", "0"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, text: str) -> None:
    sentence = refusal(**{name: text})

    assert sentence.startswith(f"{name} is set to {text!r}")
    assert NAMES[name].kind.allowed in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("text", ["密码", "pass\tword", "naïve", "a\x00b"])
def test_a_password_a_client_could_not_send_is_refused_without_printing_it(text: str) -> None:
    sentence = refusal(PASSWORD=text)

    assert sentence.startswith("PASSWORD is set to a value that cannot be used")
    assert text not in sentence


def test_a_secret_value_is_never_printed() -> None:
    assert "hunter2" not in refusal(REDIS_URL="hunter2")


def test_a_long_bad_value_is_not_printed_whole() -> None:
    assert len(refusal(MAX_ATTEMPTS="9" * 5000)) < 300


# Names of the original


@pytest.mark.parametrize(
    ("old", "new", "text", "value"),
    [
        ("MAX_RETRY_NUM", "MAX_ATTEMPTS", "7", 7),
        ("FAKE_STREAMING_INTERVAL", "HEARTBEAT_SECONDS", "1", 1.0),
        ("WHITELIST_MODELS", "ALLOWED_MODELS", "a,b", ("a", "b")),
        ("WEB_PASSWORD", "ADMIN_PASSWORD", "open sesame", "open sesame"),
    ],
)
def test_a_former_name_is_understood_and_the_new_one_told(old: str, new: str, text: str, value: object) -> None:
    reading = environment.read({old: text})

    assert reading.values[new] == value
    assert reading.notes == (f"{old} is understood; its name here is {new}.",)


def test_the_name_of_today_wins_over_a_former_one() -> None:
    reading = environment.read({"MAX_ATTEMPTS": "3", "MAX_RETRY_NUM": "7"})

    assert reading.values["MAX_ATTEMPTS"] == 3
    assert reading.notes == ("MAX_RETRY_NUM is ignored, because MAX_ATTEMPTS, its name here, is set too.",)


def test_a_bad_value_under_a_former_name_names_that_name() -> None:
    assert refusal(MAX_RETRY_NUM="many").startswith("MAX_RETRY_NUM is set to 'many'")


@pytest.mark.parametrize("name", former.UNUSED)
def test_a_variable_without_meaning_here_gets_one_line(name: str) -> None:
    (note,) = environment.read({name: "true"}).notes

    assert note.startswith(f"{name} has no effect here: ")


def test_no_former_name_is_also_a_name_of_today() -> None:
    old = [name for variable in environment.VARIABLES for name in variable.old_names]

    assert not set(former.UNUSED) & set(NAMES)
    assert not set(old) & (set(NAMES) | set(former.UNUSED))


def test_notes_never_hold_values() -> None:
    reading = environment.read({"WEB_PASSWORD": "hunter2", "INVALID_API_KEYS": "hunter2"})

    assert "hunter2" not in " ".join(reading.notes)


# The .env file


def test_the_env_file_fills_in_what_the_environment_lacks(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("\ufeff# mine\n\nPASSWORD='se#cret'\nexport PORT=1\r\nTZ=UTC\nHOST=\"::1\"\n", encoding="utf-8")
    environ = {"TZ": "Asia/Tokyo", "PORT": ""}

    env_file.load(file, environ)

    assert environ == {"TZ": "Asia/Tokyo", "PORT": "1", "PASSWORD": "se#cret", "HOST": "::1"}


def test_a_missing_env_file_changes_nothing(tmp_path: Path) -> None:
    environ: dict[str, str] = {}

    env_file.load(tmp_path / ".env", environ)

    assert environ == {}


def test_a_line_that_is_no_setting_is_named_but_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1\nGEMINI_API_KEYS = hunter2\n")

    with pytest.raises(ImproperlyConfigured) as caught:
        env_file.load(file, {})

    assert str(caught.value).startswith(f"Line 2 of {file}")
    assert "hunter2" not in str(caught.value) + caplog.text


def test_an_env_file_in_another_encoding_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes("SEARCH_PROMPT=联网".encode("gbk"))

    with pytest.raises(ImproperlyConfigured, match="is not UTF-8"):
        env_file.load(file, {})


# The secret key's file


def test_the_secret_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    first = secret_key.kept_in(tmp_path / "new" / "data")

    assert secret_key.kept_in(tmp_path / "new" / "data") == first
    assert len(first) >= 50
    assert stat.S_IMODE((tmp_path / "new" / "data" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new" / "data").iterdir()] == ["secret_key"]


def test_processes_that_start_together_share_one_secret_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        keys = pool.map(secret_key.kept_in, [tmp_path] * 12, chunksize=1)

    assert len(set(keys)) == 1


def test_an_empty_secret_key_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()

    with pytest.raises(secret_key.BadDataDir, match="is empty"):
        secret_key.kept_in(tmp_path)


def test_a_data_dir_that_is_a_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(secret_key.BadDataDir, match=r"^DATA_DIR is set to .* which cannot be used"):
        secret_key.kept_in(tmp_path / "data")


# Settings


def test_sqlite_in_the_data_dir_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "50% of? my #data"

    database = load_settings(monkeypatch, tmp_path, DATA_DIR=str(folder)).DATABASES["default"]

    assert database["NAME"] == folder / "hajimi.sqlite3"
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]


def test_postgresql_gets_a_pool_and_no_persistent_connections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = "postgres://me:p%40ss@db:5433/hajimi?sslmode=require"

    database = load_settings(monkeypatch, tmp_path, DATABASE_URL=url).DATABASES["default"]

    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["USER"], database["PASSWORD"], database["HOST"], database["PORT"]) == ("me", "p@ss", "db", 5433)
    assert database["CONN_MAX_AGE"] == 0
    assert database["OPTIONS"]["pool"]
    assert database["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize("url", ["hunter2", "mysql://me:hunter2@db/x", "postgres://me:hunter2@db:port/x", "://hunter2"])
def test_a_bad_database_url_stops_the_start_without_being_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        load_settings(monkeypatch, tmp_path, DATABASE_URL=url)

    assert str(caught.value).startswith("DATABASE_URL is set to a value that cannot be used; it must be sqlite:///path")
    assert "hunter2" not in str(caught.value)


def test_a_secret_key_in_the_environment_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings(monkeypatch, tmp_path, SECRET_KEY="from outside")

    assert settings.SECRET_KEY == "from outside"
    assert not (tmp_path / "data" / "secret_key").exists()


@pytest.mark.parametrize(
    ("key", "is_warned_of"),
    [
        ("a", True),
        ("s" * 31, True),
        ("s" * 32, False),
        ("", False),
        (sample_secret_key(), True),
        (sample_secret_key() + "-and-more", True),
    ],
)
def test_a_secret_key_that_can_be_guessed_is_warned_of_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, is_warned_of: bool
) -> None:
    notes = load_settings(monkeypatch, tmp_path, SECRET_KEY=key).ENVIRONMENT_NOTES

    warnings = [note for note in notes if note.startswith("WARNING: SECRET_KEY is shorter than 32 characters")]
    assert len(warnings) == is_warned_of
    assert "\n" not in "".join(warnings)


def test_the_body_cap_is_in_megabytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load_settings(monkeypatch, tmp_path, MAX_BODY_MB="0.5").MAX_BODY_BYTES == 2**19


def test_a_space_is_served_under_its_own_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings(monkeypatch, tmp_path, SPACE_ID="me/chat", SPACE_HOST="me-chat.hf.space")

    assert "me-chat.hf.space" in settings.ALLOWED_HOSTS
    assert settings.CSRF_TRUSTED_ORIGINS == ["https://me-chat.hf.space"]
    assert settings.SESSION_COOKIE_SECURE
    assert settings.CSRF_COOKIE_SECURE


def test_variables_of_the_env_file_named_by_env_file_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("MAX_ATTEMPTS=4\n")
    monkeypatch.setenv("MAX_ATTEMPTS", "")

    settings = load_settings(monkeypatch, tmp_path, ENV_FILE=str(tmp_path / "mine"), MAX_ATTEMPTS="")

    assert settings.BEHAVIOUR.max_attempts == 4


def test_every_variable_but_the_behaviour_reaches_a_setting() -> None:
    """A variable that nothing reads would be a promise not kept."""
    source = (ROOT / "hajimi_site" / "settings.py").read_text()
    used = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    behaviour = {field.name.upper() for field in fields(Behaviour)}

    unread = {v.name for v in environment.VARIABLES if v.name not in behaviour | used}
    assert unread == set()


# Numbered keys


@pytest.mark.parametrize("name", ["GEMINI_API_KEYS_0", "GEMINI_API_KEYS_01", "GEMINI_API_KEYS_100"])
def test_keys_under_a_number_that_is_not_read_are_told(name: str) -> None:
    key = "AIzaSyKeyUnderAnotherNumber------------"

    reading = environment.read({name: key, "GEMINI_API_KEYS_1": "AIzaSyOne", "GEMINI_API_KEYS_99": "AIzaSyTwo"})

    assert reading.values["GEMINI_API_KEYS"] == ("AIzaSyOne", "AIzaSyTwo")
    assert reading.notes == (
        f"WARNING: {name} is ignored: these names go from GEMINI_API_KEYS_1 to GEMINI_API_KEYS_99.",
    )
    assert key in environment.secrets_in({name: key})


# The way out

GOOGLE = ("https://generativelanguage.googleapis.com",)


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("127.0.0.1:7890", "http://127.0.0.1:7890"),
        ("user:secret@proxy:3128", "http://user:secret@proxy:3128"),
        ("http://127.0.0.1:7890/", "http://127.0.0.1:7890/"),
        ("HTTPS://proxy", "HTTPS://proxy"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_without_a_scheme_is_one_of_http(name: str, text: str, read_as: str) -> None:
    assert environment.proxies({name: text}, GOOGLE) == {name: read_as}


@pytest.mark.parametrize(
    "text", ["socks5://u:secret@127.0.0.1:1080", "http://u:secret@h:port", "http://", "http://h:99999", "a b:1", "[::1"]
)
def test_a_proxy_that_cannot_be_used_is_refused_by_the_name_of_its_variable(text: str) -> None:
    with pytest.raises(environment.BadEnvironment) as refused:
        environment.proxies({"HTTPS_PROXY": text}, GOOGLE)

    assert str(refused.value).startswith("HTTPS_PROXY is set to a value that cannot be used; it must be the address")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_PROXY": "socks5://127.0.0.1:1"},
        {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "localhost,.googleapis.com"},
        {"HTTPS_PROXY": "socks5://127.0.0.1:1", "no_proxy": "*"},
    ],
)
def test_a_proxy_that_is_not_on_the_way_is_not_looked_at(environ: dict[str, str]) -> None:
    assert environment.proxies(environ, GOOGLE) == {}


def test_the_proxy_of_a_scheme_goes_before_that_of_all() -> None:
    both = {"ALL_PROXY": "socks5://127.0.0.1:1", "HTTPS_PROXY": "127.0.0.1:2"}

    assert environment.proxies(both, GOOGLE) == {"HTTPS_PROXY": "http://127.0.0.1:2"}


def test_a_bad_proxy_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="https_proxy"):
        load_settings(monkeypatch, tmp_path, https_proxy="socks5://127.0.0.1:1080")
