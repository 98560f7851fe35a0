"""Threats that have no file of their own: header and log injection, costs of a password, doubled hosts, the supply."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from keys import vault
from keys.members import Doorkeeper, UnknownPassword
from tests.conftest import OTHER_SERVER
from tests.forms import logged_in, submit
from tests.gemini import bomb
from tests.service.houses import House, house
from tests.service.tiny_process import until
from tests.serving import ROOT, chat

CHAT = "/v1/chat/completions"
FORGED = "2026-01-01 00:00:00,000 CRITICAL forged"
# What ends a line somewhere: in HTTP, on a terminal, in a log collector, in JSON's older readers.
BREAKS = {"CRLF": "\r\n", "LF": "\n", "CR": "\r", "vertical tab": "\x0b", "NEL": "\x85", "line separator": "\u2028"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as running:
        yield running


# Header injection


@pytest.mark.parametrize("kind", ["ai_studio", "vertex_express"])
@pytest.mark.parametrize("end", ["\r\nx-injected: 1", "\nx", "\x00", "ü", " x", "\u2028"])
def test_header_injection_no_key_comes_in_that_could_break_a_header(here: House, kind: str, end: str) -> None:
    before = here.server.rows("SELECT count(*) AS keys FROM keys_key")
    with logged_in(here.server) as admin:
        answer = submit(admin, "/admin/keys/key/add/", secret=f"sk-header-injection{end}-0123456789", kind=kind)

    assert answer.status_code == 200
    assert "errorlist" in answer.text or "text-red" in answer.text
    assert here.server.rows("SELECT count(*) AS keys FROM keys_key") == before


def test_header_injection_nothing_that_a_client_sends_in_headers_goes_upstream(here: House) -> None:
    here.clear()
    sent = {
        "x-canary-header": "canary",
        "cookie": "a=canary",
        "referer": "https://canary.example/",
        "origin": "https://canary.example",
        "user-agent": "canary",
        "x-forwarded-for": "203.0.113.1, canary",
        "x-goog-user-project": "canary",
        "accept-language": "canary",
        "x-server-timeout": "canary",
    }
    native = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    with here.server.client() as client:
        for stream in (False, True):
            assert client.post(CHAT, json=chat(stream=stream), headers=sent).status_code == 200
        path = "/v1beta/models/gemini-2.5-flash:generateContent?x=canary"
        assert client.post(path, json=native, headers=sent).status_code == 200

    calls = [call for call in here.gemini.calls if call.generates]
    assert len(calls) == 3
    for call in calls:
        assert "canary" not in f"{call.path} {dict(call.headers)}"
        assert here.server.password not in f"{call.path} {dict(call.headers)}"


# Log injection


@pytest.mark.parametrize("name", BREAKS)
def test_log_injection_no_client_can_begin_a_line_of_the_log(here: House, name: str) -> None:
    forged = f"{BREAKS[name]}{FORGED}"
    with here.server.client() as client:
        assert client.post(CHAT, json=chat(model=f"x{forged}")).status_code == 404
        for path in (f"/v1/models/x{forged}", f"/x{forged}", f"/admin/{forged}/"):
            client.get("".join(f"%{byte:02x}" if chr(byte) != "/" else "/" for byte in path.encode()))

    assert until(lambda: "/admin/" in here.server.output)
    assert not [line for line in re.split("[\r\n\x0b\x85\u2028]", here.server.output) if line.startswith(FORGED[:30])]


# What a password costs


def test_bearer_authentication_costs_one_digest_and_no_slow_hash() -> None:
    """A slow hash would let a stranger keep the processor busy with one line of HTTP."""
    asked: list[str] = []

    def digest(text: str) -> str:
        asked.append(text)
        return hashlib.sha256(text.encode()).hexdigest()

    door = Doorkeeper(digest=digest)
    for _ in range(3):
        with pytest.raises(UnknownPassword):
            door.authenticate("a-guess", "203.0.113.1", {}, 0)

    assert asked == ["a-guess"] * 3


@pytest.mark.django_db
def test_bearer_passwords_are_stored_as_hmac_sha256_under_the_pepper() -> None:
    vault.forget()
    pepper = vault.unlock()

    assert len(pepper) >= 32
    assert vault.digest("swordfish") == hmac.new(pepper, b"swordfish", hashlib.sha256).hexdigest()
    vault.forget()


# Smuggling by hosts and addresses


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: {here}\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nHost: {here}\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {here}, evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: {here}\r\n\tevil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
)
def test_smuggling_a_second_host_shows_no_page_under_its_name(here: House, head: bytes) -> None:
    told = talk(here, head)

    assert re.match(rb"HTTP/1\.[01] 4\d\d ", told), told[:300]
    assert b"evil.example/v1" not in told


@pytest.mark.parametrize("path", [b"http://evil.example/admin/login/", b"http://{here}/admin/login/"])
def test_smuggling_an_absolute_address_is_no_way_past_the_doors(here: House, path: bytes) -> None:
    told = talk(here, b"GET " + path + b" HTTP/1.1\r\nHost: {here}\r\n\r\n")

    # Daphne refuses it; other servers take its path alone, whatever host it names (RFC 9112, 3.2.2).
    assert re.match(rb"HTTP/1\.[01] 200 " if OTHER_SERVER else rb"HTTP/1\.[01] (400|404) ", told), told[:300]
    assert b"evil.example" not in told


def talk(here: House, head: bytes) -> bytes:
    """Send a head as it is, and return what comes back until the other side hangs up."""
    address = urlsplit(here.server.base_url)
    head = head.replace(b"{here}", address.netloc.encode()).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    told = b""
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(head)
        while piece := connection.recv(65536):
            told += piece
    return told


@pytest.mark.parametrize("path", ["/", "/admin/", "/admin/login/", "/me", "/v1/models", "/healthz"])
def test_daphne_root_path_moves_no_door(here: House, path: str) -> None:
    with here.server.client("") as stranger:
        plain = stranger.get(path)
        moved = stranger.get(path, headers={"daphne-root-path": path.rstrip("/") or "/v1"})

    assert (moved.status_code, moved.headers.get("location")) == (plain.status_code, plain.headers.get("location"))


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/v1/models", "/v1beta/models", "/v1/nothing", "/", "/metrics"]
)
def test_sniffing_no_door_lets_a_browser_guess_what_it_answers(here: House, path: str) -> None:
    with here.server.client() as client:
        assert client.get(path).headers.get_list("x-content-type-options") == ["nosniff"]


# Bombs from upstream


@pytest.mark.parametrize("stream", [False, True])
def test_a_decompression_bomb_from_upstream_is_not_unpacked(here: House, stream: bool) -> None:
    here.clear()
    here.server.chat("warm up")
    before = peak(here)
    here.gemini.replies(bomb(300), "pong")

    with here.server.client() as client:
        told = client.post(CHAT, json=chat(stream=stream))

    assert told.status_code == 200
    assert "pong" in told.text
    assert peak(here) - before < 100 * 2**20


def peak(here: House) -> int:
    lines = Path(f"/proc/{here.server.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


# The supply


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-slow.txt"])
def test_every_library_is_locked_to_one_version_by_its_hash(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    locked = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "-r", "--"))]

    assert len(locked) > 5
    for line in locked:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==[^ ]+ ", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line


def test_the_linter_looks_for_what_is_dangerous() -> None:
    """Bandit's rules, of which tests and benchmarks alone are free."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert re.search(r'^select = \[.*"S"', text, re.MULTILINE)
    free = re.findall(r'^"([^"]+)" = \[[^\]]*"S"', text, re.MULTILINE)
    assert all(place.startswith(("tests/", "bench/", "tools/")) for place in free), free
