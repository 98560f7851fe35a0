"""Vertex AI through the door: service accounts and express keys, beside AI Studio keys, against local servers."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from proxy.upstream.errors import Refused
from proxy.upstream.tokens import fetch_token
from proxy.upstream.vertex import base_url
from tests.forms import logged_in, submit
from tests.gemini import FakeGemini, Raw, answer, error, events
from tests.serving import KEYS, NotStarted, Server, events_of, text_of

MODEL = "gemini-2.5-flash"
EXPRESS = "AQ.ExpressKeyOfTheSimulator---------1"


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with FakeGemini() as gemini:
        yield gemini


@pytest.fixture
def vertex(fake: FakeGemini, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start hajimi with Vertex on, and no AI Studio key unless a test names one."""
    servers: list[Server] = []

    def start(**environment: object) -> Server:
        addresses = {"GEMINI_BASE_URL": fake.url, "VERTEX_BASE_URL": fake.url}
        defaults = {"GEMINI_API_KEYS": "", "ENABLE_VERTEX": True, "HEADERS_HOLD_SECONDS": 1}
        server = Server(tmp_path / "data", {**addresses, **defaults, **environment})
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.kill()


def account(fake: FakeGemini, project: str = "hajimi-test") -> str:
    return json.dumps(fake.vertex.account(fake.url, project))


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def streamed(server: Server, text: str = "hello") -> str:
    with server.client() as client:
        body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]}
        return text_of(events_of(client.post("/v1/chat/completions", json=body).text))


def text(answered: Any) -> str:
    return str(answered.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("fake_streaming", [True, False])
def test_a_service_account_answers_streamed_and_not_with_one_token(
    fake: FakeGemini, vertex: Callable[..., Server], fake_streaming: bool
) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake), FAKE_STREAMING=fake_streaming)
    fake.always(answer("pong"))

    assert [text(server.chat()), streamed(server), text(server.chat())] == ["pong"] * 3
    assert len(fake.vertex.fetches) == 1
    paths = {call.path for call in fake.generated}
    assert all(path.startswith("/v1/projects/hajimi-test/locations/global/publishers/google/") for path in paths)
    assert not any(call.headers.get("x-goog-api-key") for call in fake.generated)


def test_the_location_is_part_of_the_address(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake), VERTEX_LOCATION="europe-west4")

    assert server.chat().status_code == 200
    assert "/locations/europe-west4/" in fake.generated[0].path


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_each_location_has_its_own_host(location: str, host: str) -> None:
    assert base_url(location) == f"https://{host}"


@pytest.mark.parametrize("stream", [False, True])
def test_a_token_that_is_refused_is_renewed_once_within_the_attempt(
    fake: FakeGemini, vertex: Callable[..., Server], stream: bool
) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake), FAKE_STREAMING=False)
    assert server.chat(stream=stream).status_code == 200
    fake.vertex.revoke()

    again = server.chat(stream=stream)

    assert (again.status_code, again.headers["x-hajimi-attempts"]) == (200, "1")
    assert len(fake.vertex.fetches) == 2


def test_an_account_whose_new_token_is_refused_too_is_not_asked_for_a_third(
    fake: FakeGemini, vertex: Callable[..., Server]
) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake), MAX_ATTEMPTS=1)
    said = {"error": {"code": 401, "message": "Invalid credentials.", "status": "UNAUTHENTICATED"}}
    fake.always(Raw(401, json.dumps(said).encode(), (("content-type", "application/json"),)))

    assert server.chat().status_code >= 500
    assert (len(fake.vertex.fetches), len(fake.generated)) == (2, 2)


def test_requests_that_come_at_once_wait_for_one_token(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake))

    with ThreadPoolExecutor(8) as pool:
        statuses = [answered.status_code for answered in pool.map(lambda _: server.chat(), range(8))]

    assert statuses == [200] * 8
    assert len(fake.vertex.fetches) == 1


def test_a_token_near_its_end_is_renewed_early_and_in_the_background(
    fake: FakeGemini, vertex: Callable[..., Server]
) -> None:
    fake.vertex.lifetime = 200
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake))

    wait_for(lambda: server.chat().status_code == 200 and len(fake.vertex.fetches) > 1)


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client", "unauthorized_client"])
def test_an_account_that_gets_no_token_is_disabled_with_the_reason(
    fake: FakeGemini, vertex: Callable[..., Server], code: str
) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake))
    fake.vertex.refusal = 400, {"error": code, "error_description": "account not found"}

    refused = server.chat()

    assert refused.status_code >= 500
    [row] = server.rows("SELECT disabled_by, disabled_reason FROM keys_key")
    assert row["disabled_by"] == "google"
    assert f"{code}: account not found" in row["disabled_reason"]


def test_a_token_server_that_is_down_is_no_fault_of_the_account(
    fake: FakeGemini, vertex: Callable[..., Server]
) -> None:
    info = fake.vertex.account(fake.url) | {"token_uri": "http://127.0.0.1:9/token"}
    server = vertex(GOOGLE_CREDENTIALS_JSON=json.dumps(info), MAX_ATTEMPTS=2)

    assert server.chat().status_code in (502, 503)
    assert [row["disabled_by"] for row in server.rows("SELECT disabled_by FROM keys_key")] == [""]


@pytest.mark.parametrize(
    "refusal",
    [
        (403, "<html>The proxy of this network does not let you out.</html>"),
        (403, {"error": "policy_denied"}),
        (404, "<html>No such page.</html>"),
        (502, "<html>Bad gateway</html>"),
        (502, {"message": "bad gateway"}),
        (503, {"error": "invalid_grant"}),
        (429, {"error": "rate_limit_exceeded"}),
        (200, "<html>Log in to this network first.</html>"),
        (200, {"message": "no token"}),
    ],
    ids=str,
)
def test_what_is_no_refusal_of_an_oauth_server_is_no_fault_of_the_account(
    fake: FakeGemini, vertex: Callable[..., Server], refusal: tuple[int, dict[str, str] | str]
) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake), MAX_ATTEMPTS=1)
    fake.vertex.refusal = refusal

    assert server.chat().status_code in (502, 503)

    assert [row["disabled_by"] for row in server.rows("SELECT disabled_by FROM keys_key")] == [""]
    fake.vertex.refusal = None
    wait_for(lambda: server.chat().status_code == 200)


@pytest.mark.parametrize(("fake_streaming", "verb"), [(True, "generateContent"), (False, "streamGenerateContent")])
def test_an_express_key_answers_without_a_project(
    fake: FakeGemini, vertex: Callable[..., Server], fake_streaming: bool, verb: str
) -> None:
    server = vertex(VERTEX_EXPRESS_API_KEY=EXPRESS, FAKE_STREAMING=fake_streaming)
    fake.always(answer("pong"))

    assert [text(server.chat()), streamed(server)] == ["pong", "pong"]
    place = f"/v1/publishers/google/models/{MODEL}"
    assert [call.path for call in fake.generated] == [f"{place}:generateContent", f"{place}:{verb}"]
    assert fake.keys_used == [EXPRESS, EXPRESS]


def test_each_account_is_called_in_its_own_project(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    both = "[" + account(fake, "first-project") + "," + account(fake, "second-project") + "]"
    server = vertex(GOOGLE_CREDENTIALS_JSON=base64.b64encode(both.encode()).decode())

    for _ in range(4):
        assert server.chat().status_code == 200

    projects = [call.path.split("/")[3] for call in fake.generated]
    assert sorted(projects) == ["first-project"] * 2 + ["second-project"] * 2


def test_a_vertex_credential_steps_in_for_an_exhausted_key(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GEMINI_API_KEYS=KEYS[0], GOOGLE_CREDENTIALS_JSON=account(fake), KEY_ORDER="ai_studio_first")
    fake.always(error("per_day"), key=KEYS[0])

    answered = server.chat()

    assert (answered.status_code, answered.headers["x-hajimi-attempts"]) == (200, "2")


@pytest.mark.parametrize(("order", "on_vertex"), [("ai_studio_first", False), ("vertex_first", True)])
def test_the_order_says_which_kind_of_key_is_used_first(
    fake: FakeGemini, vertex: Callable[..., Server], order: str, on_vertex: bool
) -> None:
    server = vertex(GEMINI_API_KEYS=KEYS[0], GOOGLE_CREDENTIALS_JSON=account(fake), KEY_ORDER=order)

    for _ in range(4):
        assert server.chat().status_code == 200

    assert {call.on_vertex for call in fake.generated} == {on_vertex}


def test_the_order_is_changed_in_the_admin_while_it_runs(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GEMINI_API_KEYS=KEYS[0], GOOGLE_CREDENTIALS_JSON=account(fake), KEY_ORDER="ai_studio_first")
    assert server.chat().status_code == 200

    with logged_in(server) as admin:
        submit(admin, "/admin/proxy/settings/1/change/", key_order="vertex_first")

    wait_for(lambda: server.chat().status_code == 200 and fake.generated[-1].on_vertex)
    assert not fake.generated[0].on_vertex


def test_all_alike_takes_turns(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GEMINI_API_KEYS=KEYS[0], GOOGLE_CREDENTIALS_JSON=account(fake))

    for _ in range(4):
        assert server.chat().status_code == 200

    assert sorted(call.on_vertex for call in fake.generated) == [False, False, True, True]


def test_with_vertex_off_its_credentials_rest(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GEMINI_API_KEYS=KEYS[0], GOOGLE_CREDENTIALS_JSON=account(fake), ENABLE_VERTEX=False)

    for _ in range(3):
        assert server.chat().status_code == 200

    assert not any(call.on_vertex for call in fake.generated)


def test_the_models_of_vertex_are_listed_without_any_list_of_googles(
    fake: FakeGemini, vertex: Callable[..., Server]
) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake))

    with server.client() as client:
        listed = [model["id"] for model in client.get("/v1/models").json()["data"]]

    assert MODEL in listed
    assert listed == sorted(listed)
    assert not any(name.endswith("-latest") for name in listed)


def test_embeddings_are_left_to_ai_studio_keys(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GEMINI_API_KEYS=KEYS[0], GOOGLE_CREDENTIALS_JSON=account(fake), KEY_ORDER="vertex_first")

    with server.client() as client:
        for _ in range(3):
            body = {"model": "gemini-embedding-001", "input": "hi"}
            assert client.post("/v1/embeddings", json=body).status_code == 200


def test_a_native_body_is_made_fit_for_vertex(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake))
    body = {"contents": [{"parts": [{"text": "hi"}]}], "store": True, "serviceTier": "standard"}

    with server.client() as client:
        answered = client.post(f"/v1beta/models/{MODEL}:generateContent", json=body)
        counted = client.post(f"/v1beta/models/{MODEL}:countTokens", json={"generateContentRequest": body})

    assert (answered.status_code, counted.status_code) == (200, 200), answered.text + counted.text
    assert fake.generated[0].body == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_a_native_body_for_vertex_is_taken_by_keys_of_both_kinds(
    fake: FakeGemini, vertex: Callable[..., Server]
) -> None:
    server = vertex(GEMINI_API_KEYS=KEYS[0], GOOGLE_CREDENTIALS_JSON=account(fake))
    plain = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    body = plain | {"labels": {"team": "a"}}

    with server.client() as client:
        url = f"/v1beta/models/{MODEL}:generateContent"
        statuses = [client.post(url, json=body).status_code for _ in range(4)]

    assert statuses == [200] * 4
    assert sorted((call.on_vertex, "labels" in call.body) for call in fake.generated) == [
        (False, False),
        (False, False),
        (True, True),
        (True, True),
    ]


@pytest.mark.parametrize("enabled", [True, False])
def test_where_only_ai_studio_keys_serve_a_native_body_stays_as_it_is(
    fake: FakeGemini, vertex: Callable[..., Server], enabled: bool
) -> None:
    credentials = "" if enabled else account(fake)
    server = vertex(GEMINI_API_KEYS=KEYS[0], GOOGLE_CREDENTIALS_JSON=credentials, ENABLE_VERTEX=enabled)
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "labels": {"team": "a"}}
    fake.judge = lambda *_: None

    with server.client() as client:
        assert client.post(f"/v1beta/models/{MODEL}:generateContent", json=body).status_code == 200

    assert fake.generated[0].body == body


def test_a_tool_loop_keeps_its_signature_on_vertex(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    server = vertex(GOOGLE_CREDENTIALS_JSON=account(fake))
    part = {"functionCall": {"name": "dice", "args": {}}, "thoughtSignature": "c2lnbmVk"}
    fake.replies(events({"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}))
    tools = [{"type": "function", "function": {"name": "dice", "parameters": {"type": "object", "properties": {}}}}]
    messages: list[Any] = [{"role": "user", "content": "roll"}]
    with server.client() as client:
        first = client.post("/v1/chat/completions", json={"model": MODEL, "messages": messages, "tools": tools}).json()
        called = first["choices"][0]["message"]["tool_calls"][0]
        called.pop("extra_content", None)
        result = {"role": "tool", "tool_call_id": called["id"], "content": "4"}
        messages += [{"role": "assistant", "tool_calls": [called]}, result]
        client.post("/v1/chat/completions", json={"model": MODEL, "messages": messages, "tools": tools})

    assert fake.generated[1].body["contents"][1]["parts"][0]["thoughtSignature"] == "c2lnbmVk"


@pytest.mark.parametrize("missing", ["project_id", "private_key", "client_email"])
def test_an_account_that_is_not_whole_stops_the_start_and_is_not_shown(
    fake: FakeGemini, vertex: Callable[..., Server], missing: str
) -> None:
    info = fake.vertex.account(fake.url)
    del info[missing]

    with pytest.raises(NotStarted) as raised:
        vertex(GOOGLE_CREDENTIALS_JSON=json.dumps(info))

    told = str(raised.value)
    assert "GOOGLE_CREDENTIALS_JSON" in told
    assert f"lacks {missing}" in told
    assert "PRIVATE KEY" not in told
    assert "Traceback" not in told


def test_an_account_whose_private_key_cannot_be_read_stops_the_start_and_is_not_shown(
    fake: FakeGemini, vertex: Callable[..., Server]
) -> None:
    info = fake.vertex.account(fake.url)
    first, *lines, last = info["private_key"].splitlines()
    info["private_key"] = "\n".join([first, *lines[:3], last])

    with pytest.raises(NotStarted) as raised:
        vertex(GOOGLE_CREDENTIALS_JSON=json.dumps(info))

    told = str(raised.value)
    assert "GOOGLE_CREDENTIALS_JSON" in told
    assert "private_key that cannot be read" in told
    assert lines[0] not in told
    assert "Traceback" not in told


def test_an_account_stored_with_a_key_that_cannot_be_read_is_refused_with_that_reason(fake: FakeGemini) -> None:
    info = fake.vertex.account(fake.url)
    first, *lines, last = info["private_key"].splitlines()

    with pytest.raises(Refused) as raised:
        fetch_token(json.dumps(info | {"private_key": "\n".join([first, *lines[:3], last])}), fake.url)

    assert raised.value.status == 401
    assert b"its private_key cannot be read" in raised.value.body


def test_an_account_that_leaves_the_variable_is_disabled_and_comes_back(
    fake: FakeGemini, vertex: Callable[..., Server]
) -> None:
    credentials = account(fake)
    server = vertex(GOOGLE_CREDENTIALS_JSON=credentials)

    server.restart(GOOGLE_CREDENTIALS_JSON="", GEMINI_API_KEYS=KEYS[0])
    gone = server.rows("SELECT disabled_by FROM keys_key WHERE kind = 'vertex_service_account'")
    server.restart(GOOGLE_CREDENTIALS_JSON=credentials)
    back = server.rows("SELECT disabled_by FROM keys_key WHERE kind = 'vertex_service_account'")

    assert ([row["disabled_by"] for row in gone], [row["disabled_by"] for row in back]) == (["environment"], [""])


def test_no_part_of_an_account_is_stored_or_printed_in_clear(fake: FakeGemini, vertex: Callable[..., Server]) -> None:
    credentials = account(fake)
    server = vertex(GOOGLE_CREDENTIALS_JSON=credentials)
    server.chat()
    server.stop()

    line = json.loads(credentials)["private_key"].splitlines()[3]
    assert line.encode() not in server.stored()
    assert line not in server.output
    assert not any(token in server.output for token in fake.vertex.tokens)


def test_ssrf_an_account_whose_token_uri_leads_elsewhere_stops_the_start(
    fake: FakeGemini, vertex: Callable[..., Server]
) -> None:
    with pytest.raises(NotStarted) as raised:
        vertex(GOOGLE_CREDENTIALS_JSON=account(fake), VERTEX_BASE_URL="")

    assert "GOOGLE_CREDENTIALS_JSON cannot be used (service account 1 has a token_uri that is not Google's)" in str(
        raised.value
    )
    assert fake.vertex.fetches == []


def test_ssrf_an_account_stored_with_another_token_uri_is_asked_nothing_and_refused(fake: FakeGemini) -> None:
    with pytest.raises(Refused) as raised:
        fetch_token(account(fake))

    assert raised.value.status == 401
    assert b"token_uri that is not Google's" in raised.value.body
    assert fake.vertex.fetches == []
