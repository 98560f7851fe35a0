"""Promise 4 where test_canary does not look: many processes, Redis, JSON logs, commands, Vertex, second factors.

One hajimi of two processes, with Redis and LOG_FORMAT=json, does what touches the secrets of its own kind: a service
account's private key and its tokens, an admin's second factor, errors in the middle of streams.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.canaries import (
    ADMIN,
    ANSWER,
    BOB,
    CANARIES,
    GUESS,
    KEYS,
    PROMPT,
    SECRET_KEY,
    SHARED,
    STRANGE_KEY,
)
from tests.databases import ABOUT_SQLITE
from tests.forms import fields_of, logged_in, submit
from tests.gemini import FakeGemini, Raw, answer, events, reset
from tests.gemini.replies import Fault
from tests.gemini.vertex import pem_keys
from tests.redises import OWN_REDIS, own_redis
from tests.service.canary_commands import (
    ASSERTION,
    broken_accounts,
    give_commands,
    give_commands_at_rest,
    lines_of,
    quoting,
    start_badly,
)
from tests.service.canary_factor import FACTOR, log_in_with_codes, set_up_second_factor, take_second_factor_away
from tests.service.looking import Run, crawl, folder_bytes, frames, held_by, revive, watched
from tests.service.test_workers import end
from tests.service.tiny_process import until
from tests.serving import Server, chat

pytestmark = [OWN_REDIS, ABOUT_SQLITE]

MODEL = "gemini-2.5-flash"
DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", chat(PROMPT, stream=True)),
    "anthropic": (
        "/v1/messages",
        {"model": MODEL, "max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": PROMPT}]},
    ),
    "responses": ("/v1/responses", {"model": MODEL, "input": PROMPT, "stream": True}),
    "gemini": (
        f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]},
    ),
}
SPOKEN = {"candidates": [{"content": {"role": "model", "parts": [{"text": "so far so good "}]}, "index": 0}]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("canary")
    with FakeGemini() as gemini, own_redis(folder / "redis") as store:
        environment = {
            "GEMINI_BASE_URL": gemini.url,
            "VERTEX_BASE_URL": gemini.url,
            "ENABLE_VERTEX": True,
            "GOOGLE_CREDENTIALS_JSON": json.dumps(gemini.vertex.account(gemini.url)),
            "GEMINI_API_KEYS": KEYS,
            "PASSWORD": SHARED,
            "ADMIN_PASSWORD": ADMIN,
            "SECRET_KEY": SECRET_KEY,
            "BACKUP_DIR": folder / "backups",
            "TRUSTED_PROXIES": "127.0.0.1",
            "FAKE_STREAMING": False,
            "HEADERS_HOLD_SECONDS": 1,
            "MAX_ATTEMPTS": 2,
            "LOG_FORMAT": "json",
            "WORKERS": 2,
            "REDIS_URL": store.url,
        }
        server = Server(folder / "data", environment)
        try:
            here = Run(gemini, server.start())
            here.seen.canaries = own_canaries(gemini)
            with watched(here, store.url):
                everything(here, folder)
                here.seen.add("what Redis holds", held_by(store.url))
            finish(here, folder)
            yield here
        finally:
            end(server)


def own_canaries(gemini: FakeGemini) -> dict[str, str]:
    """Return the canaries of both runs; what is made anew in each run is added as it is made."""
    lines = lines_of(pem_keys()[0])
    first, middle, last = lines[0], lines[len(lines) // 2], lines[-1]
    return CANARIES | {
        "a service account's private key": middle,
        "the private key's begin": first,
        "the private key's end": last,
        "a signed assertion": ASSERTION,
    }


# What goes through


def everything(run: Run, folder: Path) -> None:
    with logged_in(run.server, ADMIN) as browser, frames(run, browser):
        add_bob(run, browser)
        set_up_second_factor(run, browser)
        log_in_with_codes(run)
        talk(run)
        break_in_the_middle(run)
        refuse_tokens(run)
        guess(run)
        paste_accounts(run, browser)
        crawl(run, browser, most_of_a_kind=2)
        give_commands(run, folder)
        break_down(run, browser)
    take_second_factor_away(run)
    run.seen.add("database while it runs", run.server.stored() + folder_bytes(run.server.data_dir))


def finish(run: Run, folder: Path) -> None:
    run.server.stop()
    give_commands_at_rest(run, folder)
    run.seen.add("database after the end", run.server.stored() + folder_bytes(run.server.data_dir))
    run.seen.add("backups", folder_bytes(folder / "backups"))
    start_badly(run, folder)
    run.seen.add("JSON logs", run.server.output)


def add_bob(run: Run, browser: httpx.Client) -> None:
    run.seen.add("adding Bob", submit(browser, "/admin/keys/member/add/", name="Bob", password=BOB).content)
    with run.server.client(BOB) as client:
        assert until(lambda: client.get("/v1/models").status_code == 200)


def talk(run: Run) -> None:
    """Every dialect at both processes: a connection stays with one, so each chat has its own."""
    run.gemini.always(answer(ANSWER), model=MODEL)

    def one(dialect: str) -> None:
        path, body = DIALECTS[dialect]
        with run.server.client(SHARED) as client:
            assert client.post(path, json=body).status_code == 200
            assert client.post(f"{path.partition('?')[0]}?key={SHARED}", json=body).status_code == 200

    with ThreadPoolExecutor(8) as many:
        list(many.map(one, [*DIALECTS] * 6))
    run.gemini.clear()
    with run.server.client(BOB) as client:
        assert client.post("/v1/me/recordings", json={"count": 2}).status_code == 200
        run.ask(client, "POST", "/v1/chat/completions", json=chat(PROMPT))
    tokens = list(run.gemini.vertex.tokens)
    assert tokens
    run.seen.canaries["an access token"] = tokens[0]


def break_in_the_middle(run: Run) -> None:
    """Streams that break after their first words, with every secret in what is said then; the words are no secret."""
    secrets = quoting(run)
    said = {
        "error": {
            "code": 503,
            "message": f"Consumer 'api_key:{KEYS[0]}' said {secrets} {PROMPT}",
            "status": "UNAVAILABLE",
        }
    }
    cut = f'data: {{"candidates": [{{"content": "{secrets} {PROMPT}'.encode()
    for reply in (
        events(SPOKEN, said),
        events(SPOKEN, SPOKEN, fault=reset(1)),
        events(SPOKEN, SPOKEN, fault=Fault("bytes", 1, cut + b"\r\n\r\n")),
        events(SPOKEN, {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": secrets}}),
        events(SPOKEN, {"candidates": [{"finishReason": "SAFETY", "finishMessage": secrets}]}),
    ):
        for path, body in DIALECTS.values():
            run.gemini.clear()
            run.gemini.always(reply, model=MODEL)
            with run.server.client(SHARED) as client:
                stream = client.post(path, json=body)
            run.seen.add("streams that break", f"{stream.status_code} {path}\n{stream.text}\n")
            revive(run)
    run.gemini.clear()


def refuse_tokens(run: Run) -> None:
    """The token server refuses, quoting the key it was signed with; then Vertex refuses, quoting the token."""
    said = {"error": "invalid_grant", "error_description": f"Invalid JWT: {quoting(run)}"}
    quoted = json.dumps({"error": {"code": 401, "message": quoting(run), "status": "UNAUTHENTICATED"}}).encode()
    only_vertex = "UPDATE keys_key SET disabled_by = 'admin' WHERE kind = 'ai_studio'"
    for refusal, reply in (
        ((400, said), None),
        ((503, said), None),
        (None, Raw(401, quoted)),
        (None, Raw(403, quoted)),
    ):
        run.server.write((only_vertex, ()), ("UPDATE proxy_revision SET number = number + 1", ()))
        # The processes look once a second.
        time.sleep(1.5)
        run.gemini.vertex.revoke()
        run.gemini.vertex.refusal = refusal
        if reply:
            run.gemini.always(reply, model=MODEL)
        with run.server.client(SHARED) as client:
            run.ask(client, "POST", "/v1/chat/completions", json=chat(PROMPT))
        run.gemini.vertex.refusal = None
        revive(run)


def guess(run: Run) -> None:
    """Wrong passwords, which the processes tell each other of; and secrets in paths."""
    for secret in (GUESS, STRANGE_KEY, run.seen.canaries["an access token"]) * 4:
        with run.server.client("") as stranger:
            for headers in ({"authorization": f"Bearer {secret}"}, {"x-goog-api-key": secret}):
                run.ask(stranger, "GET", "/v1/models", headers=headers | {"x-forwarded-for": "203.0.113.7"})
            run.ask(stranger, "GET", f"/v1/models?key={secret}", headers={"x-forwarded-for": "203.0.113.8"})
            stranger.get(f"/v1/{secret}/models")
            stranger.get(f"/{secret}")
            stranger.get(f"/admin/{secret}/")


def paste_accounts(run: Run, browser: httpx.Client) -> None:
    """Give accounts to every form that takes them: whole, and broken in every way."""
    whole = json.dumps(run.gemini.vertex.account(run.gemini.url, "pasted-project"))
    for name, text in {"whole": whole, **broken_accounts(run)}.items():
        imported = submit(browser, "/admin/keys/key/import/", keys=text)
        added = submit(browser, "/admin/keys/key/add/", secret=text, label=name)
        assert {imported.status_code, added.status_code} == {200}, name
        run.seen.add("pasting accounts", imported.content + added.content)


# What breaks


def break_down(run: Run, browser: httpx.Client) -> None:
    """Take tables away: tracebacks of every door in JSON lines, while secrets are at hand."""
    tables = ("proxy_requestlog", "keys_usage", "axes_accessattempt", "otp_totp_totpdevice", "keys_key")
    account = json.dumps(run.gemini.vertex.account(run.gemini.url, "too-late"))
    page = fields_of(browser.get("/admin/keys/key/add/"))
    importing = fields_of(browser.get("/admin/keys/key/import/"))
    run.server.write(*((f"ALTER TABLE {table} RENAME TO {table}_gone", ()) for table in tables))
    try:
        with run.server.client("") as stranger:
            form = fields_of(stranger.get("/admin/login/"))
            code = run.seen.canaries["another recovery code"]
            given = form | {"username": "admin", "password": ADMIN, "code": code}
            run.ask(stranger, "POST", "/admin/login/", data=given)
        run.ask(browser, "POST", "/admin/keys/key/add/", data=page | {"secret": account, "label": "late"})
        run.ask(browser, "POST", "/admin/keys/key/import/", data=importing | {"keys": account})
        run.ask(browser, "POST", FACTOR, data=page | {"password": ADMIN})
        with run.server.client(SHARED) as client:
            for path, body in DIALECTS.values():
                run.ask(client, "POST", path, json=body)
    finally:
        run.server.write(*((f"ALTER TABLE {table}_gone RENAME TO {table}", ()) for table in tables))


# What must be so


def json_lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.seen.texts["JSON logs"].decode().splitlines() if line.startswith("{")]


def test_two_processes_have_served_and_every_line_of_their_logs_is_json(run: Run) -> None:
    lines = json_lines(run)
    unlike = [line for line in run.seen.texts["JSON logs"].decode().splitlines() if not line.startswith("{")]

    assert len({line["pid"] for line in lines if "path" in line}) == 2
    assert [line for line in unlike if not line.startswith("hajimi ")] == []
    assert any("Traceback" in line.get("error", "") for line in lines)


COMMANDS = ("probe_keys", "list_keys", "import_keys", "create_member", "rotate_password", "set_limit", "usage")
PLACES = {
    "what Redis holds": b"hajimi",
    "what is sent to Redis": b"hajimi",
    "reasons and messages": b"invalid_grant",
    "streams that break": b"so far so good",
    "pasting accounts": b"private_key",
    "second factor, afterwards": b"password",
    "output at bad accounts: in base64, cut": b"GOOGLE_CREDENTIALS_JSON",
    "database after the end": b"SQLite format 3",
    "backups": b"SQLite format 3",
    "the copy": b"SQLite format 3",
    "websocket frames": b"in_flight",
    "heads of answers": b"x-request-id",
    **{f"command {name}": b"" for name in (*COMMANDS, "backup", "restore", "copy_database", "import_from")},
    **{f"command {name} --json": b'{\n  "' for name in (*COMMANDS, "import_from")},
    "command rotate_encryption": b"encrypt",
    "command remove_second_factor": b"is gone",
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_was_really_looked_at(run: Run, place: str) -> None:
    assert PLACES[place] in run.seen.texts[place]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_was_told_of_a_break_in_its_own_words(run: Run, dialect: str) -> None:
    told = [
        text for text in run.seen.texts["streams that break"].decode().split("200 ") if DIALECTS[dialect][0] in text
    ]

    assert len(told) == 5
    assert sum("error" in text for text in told) >= 3


NAMES = (
    *CANARIES,
    *("a service account's private key", "the private key's begin", "the private key's end", "an access token"),
    "a signed assertion",
    *("a second factor's seed", "the seed in hex", "the seed in base64", "a recovery code", "another recovery code"),
)


@pytest.mark.parametrize("canary", NAMES)
def test_no_secret_is_anywhere(run: Run, canary: str) -> None:
    assert run.seen.around(canary) == {}
