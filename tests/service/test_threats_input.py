"""Threats inside a request: bodies that cost more to read than they weigh, cookies, and names in disguise."""

from __future__ import annotations

import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import orjson
import pytest

from tests.service.houses import house
from tests.serving import chat

MB = 2**20
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def client(here):
    here.clear()
    with here.server.client() as client:
        yield client


def head(content: bytes) -> bytes:
    return b'{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"hi"}],"metadata":' + content + b"}"


BOMBS = {
    "nested 100,000 deep": b"[" * 100_000,
    "nested 100,000 deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "objects nested 5,000 deep": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a number of 5,000,000 digits": head(b"1" * 5_000_000),
    "a number too large for a double": head(b"1e999"),
    "not a number": head(b"NaN"),
    "infinity": head(b"-Infinity"),
    "ten million empty objects": head(b"[" + b"{}," * 10_000_000 + b"1]"),
    "ten million numbers": head(b"[" + b"1," * 10_000_000 + b"1]"),
    "a million nested pairs": head(b"[" + b"[[]]," * 1_000_000 + b"1]"),
    "half a surrogate pair": b'{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"\\ud800"}]}',
    "bytes that are no UTF-8": b'{"model":"\xff\xfe","messages":[]}',
    "a NUL inside JSON": b'{"model":"a\x00b"}',
    "nothing": b"",
    "a list": b"[]",
    "a word": b'"x"',
    "UTF-16": '{"model":"gemini-2.5-flash"}'.encode("utf-16"),
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
}
PATHS = (CHAT, "/v1/messages", "/v1/responses", "/v1/embeddings", "/v1/images/generations", "/v1/audio/speech")


@pytest.mark.parametrize("threat", BOMBS)
def test_a_body_that_costs_more_than_it_weighs_is_a_400(client, here, threat):
    answer = client.post(CHAT, content=BOMBS[threat], headers={"content-type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert not [call for call in here.gemini.calls if call.generates]


@pytest.mark.parametrize("path", PATHS)
def test_ten_million_values_are_refused_unread_at_every_door(client, path):
    body = b'{"model":"x","input":[' + b"1," * 10_000_000 + b"1]}"

    answer = client.post(path, content=body)

    assert answer.status_code == 400
    assert "too many values" in answer.json()["error"]["message"]


def test_ten_million_values_are_refused_unread_at_the_native_door(client):
    body = b'{"contents":[' + b"1," * 10_000_000 + b"1]}"

    answer = client.post("/v1beta/models/gemini-2.5-flash:generateContent", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_the_same_name_twice_in_an_object_cannot_smuggle_a_model_past_the_block_list(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house"), BLOCKED_MODELS="gemini-2.5-pro") as guarded:
        body = b'{"model":"gemini-2.5-flash","model":"gemini-2.5-pro","messages":[{"role":"user","content":"hi"}]}'
        with guarded.server.client() as client:
            assert client.post(CHAT, content=body).status_code == 404
        assert not [call for call in guarded.gemini.calls if call.generates]


def test_while_a_large_chat_is_read_others_get_their_answers(client, here):
    """A hundred thousand messages take seconds to translate; a small chat that comes later ends earlier."""
    ended: list[str] = []
    body = orjson.dumps(chat() | {"messages": [{"role": "user", "content": "a" * 12}] * 100_000})

    def large() -> None:
        with here.server.client() as client:
            assert client.post(CHAT, content=body, timeout=120).status_code == 200
        ended.append("large")

    thread = threading.Thread(target=large)
    thread.start()
    time.sleep(0.3)
    while thread.is_alive():
        assert client.post(CHAT, json=chat("small")).status_code == 200
        ended.append("small")
    thread.join()

    assert ended.count("small") > 1
    assert ended[0] == "small"


def test_a_large_picture_goes_through(client):
    picture = "data:image/png;base64," + "iVBORw0KGgo" + "A" * (20 * MB + 1)
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": picture}}]

    answer = client.post(CHAT, json=chat() | {"messages": [{"role": "user", "content": content}]}, timeout=120)

    assert answer.status_code == 200


# Who one is, and where one goes.


def test_a_session_cookie_opens_no_door_of_the_api(here):
    with here.server.client("") as browser:
        page = browser.get("/admin/login/")
        token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        form = {"username": "admin", "password": "correct-horse-battery", "csrfmiddlewaretoken": token}
        logged_in = browser.post("/admin/login/?next=/admin/", data=form)
        assert logged_in.status_code == 302
        assert browser.get("/admin/").status_code == 200

        assert browser.get("/v1/models").status_code == 401
        assert browser.post(CHAT, json=chat()).status_code == 401
        assert browser.get("/v1/models", headers={"authorization": "Basic YWRtaW46YWRtaW4="}).status_code == 401


def test_no_answer_of_the_api_sets_a_cookie(client):
    for answer in (client.get("/v1/models"), client.post(CHAT, json=chat()), client.get("/v1/nothing")):
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/admin/../v1/models", 302),
        ("/v1/%2e%2e/admin/", 404),
        ("/v1//../admin/", 404),
        ("//admin//", 404),
        ("/%61dmin/", 302),
        ("/v1/models/..%2f..%2fadmin", 401),
        ("/v1/models/%00", 401),
        ("/v1/models/%0d%0aset-cookie:%20a=b", 404),
        ("/v1beta/models/x%2f..%2f..%2fv1:generateContent", 405),
        ("/static/%2e%2e%2fmanage.py", 404),
        ("/static/..%5c..%5cmanage.py", 404),
        ("/static//etc/passwd", 404),
        ("/.env", 404),
        ("/data/secret_key", 404),
        ("/v1/models?key=%ff", 401),
    ],
)
def test_a_path_in_disguise_leads_nowhere(here, path, status):
    """Nothing of the admin without a session, no file, no header of the attacker's, never a 500."""
    # Not httpx: it tidies a path before it sends it.
    connection = HTTPConnection(urlsplit(here.server.base_url).netloc, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    connection.close()

    assert answer.status == status
    assert "a=b" not in (answer.getheader("set-cookie") or "")
    if status == 302:
        assert (answer.getheader("location") or "").startswith("/admin/login/?next=/admin/")


@pytest.mark.parametrize(
    "model",
    [
        "../../v1/files",
        "a/../b",
        "gemini-2.5-flash?key=x",
        "gemini-2.5-flash#",
        "%2e%2e",
        "x\r\ny: z",
        "models/../x",
        "@",
    ],
)
def test_a_model_s_name_cannot_lead_upstream_astray(client, here, model):
    answer = client.post(CHAT, json=chat(model=model))

    assert answer.status_code == 404
    assert all(call.path.startswith("/v1beta/models") for call in here.gemini.calls)
    assert not [call for call in here.gemini.calls if call.generates]


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house"), TRUSTED_PROXIES="127.0.0.1") as running:
        yield running


ODD = (
    "ü" * 20,
    "a" * 15_000,
    "\u2028",
    "' OR 1=1 --",
    "*",
    "null",
    "None",
    "0",
    "true",
    "Bearer",
    "a\tb",
    "%00",
)


@pytest.mark.parametrize("name", ["x-api-key", "x-goog-api-key", "authorization"])
@pytest.mark.parametrize("value", ODD)
def test_no_credential_of_an_odd_form_opens_or_breaks_anything(behind_proxy, name, value):
    # Each from an address of its own, or the tenth would be turned away unread.
    address = f"2001:db8:{list(CREDENTIALS).index(name)}:{ODD.index(value)}::1"
    with behind_proxy.server.client("", headers={"x-forwarded-for": address}) as stranger:
        headers = {name: (f"Bearer {value}" if name == "authorization" else value).encode()}
        answer = stranger.get("/v1/models", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == CREDENTIALS[name]


# Where the credential stands, and how its refusal is coded: Google's words for Google's header.
CREDENTIALS = {"x-api-key": "invalid_api_key", "x-goog-api-key": 401, "authorization": "invalid_api_key"}
