"""Promise 4: keys, passwords and conversations, marked so that they can be found again, go through everything.

Then all that hajimi has printed, stored, backed up or shown is searched for them, in clear and in common disguises.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.canaries import (
    ADMIN,
    ALICE,
    ANSWER,
    BOB,
    CANARIES,
    GUESS,
    KEYS,
    PASTED,
    PICTURE,
    PROMPT,
    SECRET_KEY,
    SHARED,
    SIGNATURE,
    STRANGE_KEY,
    SYSTEM,
    THOUGHT,
    TOOL,
    URL_PASSWORD,
    found,
)
from tests.databases import ABOUT_SQLITE
from tests.forms import fields_of, logged_in, submit
from tests.gemini import FakeGemini, answer, blocked, empty, error, garbage, picture, reset, sound, withheld
from tests.gemini.replies import Raw
from tests.service.looking import Run, Seen, crawl, folder_bytes, frames, revive
from tests.service.tiny_process import until
from tests.serving import NotStarted, Server, chat

CHAT = "/v1/chat/completions"
MODEL = "gemini-2.5-flash"
NATIVE = f"/v1beta/models/{MODEL}"
JSON = (("content-type", "application/json"),)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("canary")
    with FakeGemini() as gemini:
        environment = {
            "GEMINI_BASE_URL": gemini.url,
            "GEMINI_API_KEYS": KEYS,
            "PASSWORD": SHARED,
            "ADMIN_PASSWORD": ADMIN,
            "SECRET_KEY": SECRET_KEY,
            "BACKUP_DIR": folder / "backups",
            "TRUSTED_PROXIES": "127.0.0.1",
            "FAKE_STREAMING": False,
            "FETCH_MEDIA": True,
            "MAX_ATTEMPTS": 4,
        }
        server = Server(folder / "data", environment)
        try:
            yield everything(Run(gemini, server.start()), folder)
        finally:
            server.kill()


def everything(run: Run, folder: Path) -> Run:
    """Use every feature once, then collect all that can be looked at."""
    with logged_in(run.server, ADMIN) as browser, frames(run, browser):
        move_in(run, browser)
        talk(run)
        fail(run)
        guess(run)
        administer(run, browser)
        run.seen.add("backups", folder_bytes(folder / "backups"))
        run.seen.add("database while it runs", run.server.stored() + folder_bytes(run.server.data_dir))
        break_down(run, browser)
    start_badly(run, folder)
    run.server.stop()
    run.seen.add("database after the end", run.server.stored() + folder_bytes(run.server.data_dir))
    run.seen.add("backups after the end", folder_bytes(folder / "backups"))
    run.seen.add("process output", run.server.output)
    return run


# What members do


def move_in(run: Run, browser: httpx.Client) -> None:
    """Add Bob, who has a password of his own: only such a member may record."""
    run.seen.add("adding Bob", submit(browser, "/admin/keys/member/add/", name="Bob", password=BOB).content)
    with run.server.client(BOB) as client:
        assert until(lambda: client.get("/v1/models").status_code == 200)


def talk(run: Run) -> None:
    """Every endpoint and dialect, whole and streamed, with tools, thoughts, pictures and sound."""
    gemini = run.gemini
    call = {"functionCall": {"name": "look", "args": {"where": TOOL}}, "thoughtSignature": SIGNATURE}
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    with run.server.client(BOB) as client:
        # Encrypted, but in the database.
        assert client.post("/v1/me/recordings", json={"count": 20}).status_code == 200
        for extra in ({}, {"stream": True}, {"n": 2}, {"stream": True, "reasoning_effort": "low"}):
            gemini.replies(*[answer(ANSWER, thoughts=THOUGHT)] * 2)
            assert run.ask(client, "POST", CHAT, json=chat(PROMPT) | {"messages": messages} | extra).status_code == 200
            gemini.clear()
        gemini.replies(answer("", parts=(call,)))
        said = run.ask(client, "POST", CHAT, json=chat(PROMPT) | {"messages": messages, "tools": tools}).json()
        reply = said["choices"][0]["message"]
        results = [{"role": "tool", "tool_call_id": one["id"], "content": TOOL} for one in reply["tool_calls"]]
        run.ask(client, "POST", CHAT, json=chat() | {"messages": [*messages, reply, *results], "tools": tools})
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
        run.ask(client, "POST", CHAT, json=chat() | {"messages": [{"role": "user", "content": [image]}]})
        run.ask(client, "POST", "/v1/embeddings", json={"model": "gemini-embedding-001", "input": PROMPT})
        gemini.replies(picture(PROMPT, ANSWER))
        run.ask(client, "POST", "/v1/images/generations", json={"model": "gemini-2.5-flash-image", "prompt": PROMPT})
        gemini.replies(sound(ANSWER))
        run.ask(client, "POST", "/v1/audio/speech", json={"model": "gemini-2.5-flash-preview-tts", "input": PROMPT})
        files = {"file": ("canary.mp3", b"ID3" + PROMPT.encode(), "audio/mpeg")}
        run.ask(client, "POST", "/v1/audio/transcriptions", data={"model": MODEL, "prompt": PROMPT}, files=files)
        run.ask(client, "POST", "/v1/responses", json={"model": MODEL, "input": PROMPT, "instructions": SYSTEM})
        run.ask(client, "POST", "/v1/messages", json={"model": MODEL, "max_tokens": 50, "messages": messages[1:]})
        run.ask(client, "POST", "/v1/messages/count_tokens", json={"model": MODEL, "messages": messages[1:]})
        for path in ("/v1/models", "/v1beta/models", "/v1/models/gemini-2.5-flash", "/me", "/v1/me/recordings"):
            run.ask(client, "GET", path)
    native = {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}
    with run.server.client("") as stranger:
        for verb in ("generateContent", "streamGenerateContent?alt=sse", "countTokens"):
            mark = "&" if "?" in verb else "?"
            gemini.replies(answer(ANSWER))
            run.ask(stranger, "POST", f"{NATIVE}:{verb}{mark}key={SHARED}", json=native)
            gemini.clear()
        for header in ("x-api-key", "x-goog-api-key"):
            assert run.ask(stranger, "GET", "/v1/models", headers={header: SHARED}).status_code == 200


# What goes wrong


def fail(run: Run) -> None:
    """Every way to fail, above all those in which Google or a client says a secret aloud."""
    with run.server.client(SHARED) as client:
        for reply in loud_replies():
            run.gemini.clear()
            run.gemini.always(reply, model=MODEL)
            run.ask(client, "POST", CHAT, json=chat(PROMPT))
            run.ask(client, "POST", f"{NATIVE}:generateContent", json={"contents": [{"parts": [{"text": PROMPT}]}]})
            run.ask(client, "POST", CHAT, json=chat(PROMPT, stream=True))
            revive(run)
        run.gemini.clear()
        # Cut in the middle of an answer.
        run.gemini.always(answer(f"{ANSWER} and more and more", fault=reset(2)))
        run.ask(client, "POST", CHAT, json=chat(PROMPT, stream=True))
        run.gemini.clear()
        for body in broken_bodies():
            run.ask(client, "POST", CHAT, content=body)
        link = {"type": "image_url", "image_url": {"url": f"https://user:{URL_PASSWORD}@127.0.0.1/a.png"}}
        run.ask(client, "POST", CHAT, json=chat() | {"messages": [{"role": "user", "content": [link]}]})


def loud_replies() -> list:
    """Answers that quote the key, the prompt or both, under every status."""
    quoting = " ".join((*KEYS, PROMPT, SHARED))
    said = {"message": f"Consumer 'api_key:{KEYS[0]}' said {quoting}", "status": "INVALID_ARGUMENT"}
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    info = {"@type": kind, "reason": "API_KEY_INVALID", "metadata": {"key": KEYS[1]}}
    quota = {"@type": kind.replace("ErrorInfo", "QuotaFailure"), "violations": [{"quotaId": f"PerDay {KEYS[2]}"}]}
    details = {400: [info], 429: [quota]}
    loud = [
        Raw(status, json.dumps({"error": said | {"code": status, "details": details.get(status, [])}}).encode(), JSON)
        for status in (400, 401, 403, 404, 429, 500, 503)
    ]
    pages = [Raw(502, f"<html>{quoting}</html>".encode()), garbage(quoting.encode()), garbage(quoting.encode(), 500)]
    return [*loud, *pages, error("invalid_key"), error("suspended"), blocked(), withheld("SAFETY"), empty()]


def broken_bodies() -> list[bytes]:
    return [
        f'{{"model":"{MODEL}","messages":"{PROMPT}"}}'.encode(),
        f'{{"model":"{MODEL}","messages":[{{"role":"user","content":"{PROMPT}'.encode(),
        json.dumps(chat(PROMPT, temperature=PROMPT)).encode(),
    ]


def guess(run: Run) -> None:
    """Wrong passwords in every place, the right one in the wrong places."""
    forwarded = {"x-forwarded-for": "203.0.113.7"}
    with run.server.client("") as stranger:
        for headers in (
            {"authorization": f"Bearer {GUESS}"},
            {"x-api-key": GUESS},
            {"authorization": f"Basic {SHARED}"},
        ):
            run.ask(stranger, "GET", "/v1/models", headers=headers | forwarded)
        run.ask(stranger, "GET", f"/v1/models?key={GUESS}", headers=forwarded)
        # A path is quoted back to whoever sent it; what is kept of it is what others could see.
        pasted = (GUESS, STRANGE_KEY)
        forms = ("{}", "v1/{}/models", "v1/models/{}", "v1beta/models/{}:generateContent", "admin/keys/key/{}/change/")
        for path in (
            *(form.format(secret) for form in forms for secret in pasted),
            *(f"static/{quote(secret, safe='').replace('-', '%2D')}.js" for secret in pasted),
            f"v1/{SHARED}/models",
            SHARED,
            f"v1/models/{SHARED}",
            KEYS[0],
            KEYS[2],
            f"static/x?key={SHARED}",
        ):
            stranger.get(f"/{path}")
        form = fields_of(stranger.get("/admin/login/"))
        run.seen.add(
            "a wrong login",
            stranger.post("/admin/login/", data=form | {"username": "admin", "password": GUESS}).content,
        )
        # A password in the field of the name: the page shows it to who typed it, nothing keeps it.
        assert stranger.post("/admin/login/", data=form | {"username": GUESS, "password": "x"}).status_code == 200
        run.ask(stranger, "GET", "/me", headers={"x-api-key": GUESS} | forwarded)
        run.ask(stranger, "GET", "/metrics", auth=("admin", GUESS))


# What the admin does


def administer(run: Run, browser: httpx.Client) -> None:
    """Add keys and a member by their forms, then look at every page that can be reached, and at the metrics."""
    pages = {
        "adding a key": submit(browser, "/admin/keys/key/add/", secret=PASTED, label="pasted"),
        "importing keys": submit(browser, "/admin/keys/key/import/", keys=f"{PASTED}\n{KEYS[0]}, AIzaBroken {GUESS}"),
        "adding a member": submit(browser, "/admin/keys/member/add/", name="Alice", password=ALICE),
        "searching a key": browser.get("/admin/keys/key/", params={"q": PASTED}, follow_redirects=True),
        "log export": browser.get("/admin/proxy/requestlog/export/"),
        "key export": browser.post("/admin/keys/key/", data=export_of_all_keys(browser)),
    }
    with run.server.client("") as prometheus:
        pages |= {
            "metrics": browser.get("/metrics"),
            "metrics by password": prometheus.get("/metrics", auth=("admin", ADMIN)),
        }
    for where, page in pages.items():
        assert page.status_code == 200, where
        run.seen.add(where, page.content)
    with run.server.client(ALICE) as alice:
        assert run.ask(alice, "POST", CHAT, json=chat(PROMPT)).status_code == 200
        # Somebody else's recordings are not there for her.
        run.seen.add("another member's recordings", alice.get("/v1/me/recordings").content)
        page = alice.get("/me", headers={"accept": "text/html"})
        run.seen.add("a member's own page", page.content)
        assert "SillyTavern" in page.text
    crawl(run, browser)


def export_of_all_keys(browser: httpx.Client) -> dict[str, object]:
    """Return the form of the key list's masked export, every key chosen."""
    page = browser.get("/admin/keys/key/")
    rows = re.findall(r'name="_selected_action" value="(\d+)"', page.text)
    assert rows
    fields = fields_of(page)
    return {"csrfmiddlewaretoken": fields["csrfmiddlewaretoken"], "action": "export_masked", "_selected_action": rows}


# What breaks


def break_down(run: Run, browser: httpx.Client) -> None:
    """Take tables away under the running server: every door fails, with tracebacks, while secrets are at hand."""
    rename(run, "{0}", "{0}_gone")
    with run.server.client(SHARED) as client:
        run.ask(client, "POST", CHAT, json=chat(PROMPT))
        run.ask(client, "GET", "/v1/me/recordings")
        run.ask(client, "GET", "/me", headers={"accept": "text/html"})
    with run.server.client("") as stranger:
        run.ask(stranger, "POST", "/me", data={"password": SHARED})
        form = fields_of(stranger.get("/admin/login/")) | {"username": "admin", "password": ADMIN}
        run.ask(stranger, "POST", "/admin/login/", data=form)
    form = fields_of(browser.get("/admin/keys/key/add/")) | {"secret": f"x{PASTED}", "label": "pasted later"}
    run.ask(browser, "POST", "/admin/keys/key/add/", data=form)
    for path in ("/admin/", "/admin/proxy/requestlog/", "/admin/keys/member/1/change/", f"/admin/keys/key/?q={PASTED}"):
        run.ask(browser, "GET", path)
    rename(run, "{0}_gone", "{0}")


def rename(run: Run, old: str, new: str) -> None:
    tables = ("proxy_requestlog", "proxy_recording", "keys_usage", "axes_accessattempt", "proxy_blockedmodel")
    run.server.write(*((f"ALTER TABLE {old} RENAME TO {new}".format(table), ()) for table in tables))


def start_badly(run: Run, folder: Path) -> None:
    """Values that stop the start: it names the variable, not what stands in it."""
    account = json.dumps({"type": "service_account", "private_key": f"-----BEGIN PRIVATE KEY-----{PROMPT}"})
    values = {
        "GOOGLE_CREDENTIALS_JSON": account,
        "GEMINI_API_KEYS": f"{KEYS[0]} ü{KEYS[2]}",
        "DATABASE_URL": f"postgres://hajimi:{GUESS}@127.0.0.1:9/nowhere?connect_timeout=1",
        "REDIS_URL": f"redis://:{GUESS}@127.0.0.1:9/0",
        "PORT": SHARED,
    }

    def start(name: str) -> None:
        server = Server(folder / name, {**run.server.changes, "DATABASE_URL": "", name: values[name]})
        with contextlib.suppress(NotStarted):
            server.start(seconds=10)
        server.kill()
        run.seen.add(f"output at a bad {name}", server.output)

    with ThreadPoolExecutor(len(values)) as all_at_once:
        list(all_at_once.map(start, values))


# What must be so


def test_the_canaries_really_went_through(run: Run) -> None:
    sent = json.dumps([call.body for call in run.gemini.calls]) + " ".join(call.key for call in run.gemini.calls)
    logs = run.server.rows("SELECT dialect, outcome, member_id FROM proxy_requestlog")

    assert PROMPT in sent
    assert {row["dialect"] for row in logs} >= {"openai", "gemini", "anthropic", "responses"}
    assert len({row["outcome"] for row in logs}) > 5
    assert len({row["member_id"] for row in logs}) == 3
    assert run.server.rows("SELECT tail FROM keys_key WHERE label = 'pasted'") == [{"tail": PASTED[-4:]}]
    assert run.server.rows("SELECT call_id FROM proxy_thoughtsignature")
    assert len(run.server.rows("SELECT id FROM proxy_recording")) >= 15
    assert len(run.seen.texts["websocket frames"]) > 1000
    assert run.server.rows("SELECT name FROM keys_member WHERE name = 'Alice'")


def test_many_pages_were_looked_at(run: Run) -> None:
    assert int(run.seen.texts["how many pages were crawled"]) > 40
    assert any(where.startswith("page /admin/proxy/requestlog/0/change/") for where in run.seen.texts)
    assert len(run.seen.texts["database after the end"]) > 100_000


@pytest.mark.parametrize("canary", CANARIES)
def test_it_would_be_found_if_it_leaked(canary: str) -> None:
    text = CANARIES[canary].encode()

    assert canary in found(b"x" + text + b"y")
    assert canary in found(b'{"a":"' + base64.b64encode(b"ab" + text + b"cd") + b'"}')


def test_the_search_looks_into_files_of_any_kind(tmp_path: Path) -> None:
    """What would be found, had a backup, a WAL file or a page held it: the search below can fail."""
    with contextlib.closing(sqlite3.connect(tmp_path / "database.sqlite3")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE notes (text)")
        database.execute("INSERT INTO notes VALUES (?)", [f"of {ALICE} and others"])
        database.commit()
        (tmp_path / "in" / "a folder").mkdir(parents=True)
        (tmp_path / "in" / "a folder" / "file").write_bytes(b"\xff" + PROMPT.encode() + b"\0")
        seen = Seen()
        seen.add("files", folder_bytes(tmp_path))
        seen.add("page", f"<b>{quote(GUESS)}</b>")

        assert b"-wal" in seen.texts["files"]
    assert list(seen.around("Alice's password")) == ["files"]
    assert list(seen.around("a prompt")) == ["files"]
    assert list(seen.around("a wrong password")) == ["page"]
    assert seen.around("SECRET_KEY") == {}


PLACES = {
    "process output": b"Traceback (most recent call last)",
    "database while it runs": b"hajimi.sqlite3-wal",
    "database after the end": b"SQLite format 3",
    "backups": b"SQLite format 3",
    "backups after the end": b"SQLite format 3",
    "websocket frames": b"in_flight",
    "metrics": b"hajimi_requests_total",
    "metrics by password": b"hajimi_requests_total",
    "log export": b"request_id",
    "key export": b"pasted",
    "page /admin/keys/key/0/change/": b"pasted",
    "page /admin/proxy/requestlog/": b"gemini-2.5-flash",
    "a member's own page": b"SillyTavern",
    "another member's recordings": b"[",
    "heads of answers": b"x-request-id",
    "reasons and messages": b"***",
    "output at a bad GOOGLE_CREDENTIALS_JSON": b"GOOGLE_CREDENTIALS_JSON",
    "output at a bad PORT": b"PORT",
}


ABOUT_FILES = {"database while it runs", "database after the end", "backups", "backups after the end"}


@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=ABOUT_SQLITE if place in ABOUT_FILES else ()) for place in PLACES]
)
def test_every_place_was_really_looked_at(run: Run, place: str) -> None:
    assert PLACES[place] in run.seen.texts[place]


@pytest.mark.parametrize("canary", CANARIES)
def test_no_secret_and_no_word_of_a_conversation_is_anywhere(run: Run, canary: str) -> None:
    assert run.seen.around(canary) == {}
