"""A member records the next requests, and nobody else can read them."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from tests.canaries import ANSWER, PROMPT, found
from tests.forms import logged_in, submit
from tests.gemini import answer
from tests.service.houses import house
from tests.service.tiny_process import until
from tests.serving import ROOT, chat

PATH = "/v1/me/recordings"
CHAT = "/v1/chat/completions"
OWN = "a-password-of-Anna-1"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house"), FAKE_STREAMING=False) as running:
        with logged_in(running.server) as admin:
            submit(admin, "/admin/keys/member/add/", name="Anna", password=OWN)
        with running.server.client(OWN) as anna:
            assert until(lambda: anna.get(PATH).status_code == 200)
        yield running


@pytest.fixture
def member(here):
    here.clear()
    here.gemini.always(answer(ANSWER))
    with here.server.client(OWN) as client:
        client.delete(PATH)
        yield client


def ask(client, **fields) -> None:
    assert client.post(CHAT, json=chat(PROMPT, **fields)).status_code == 200


def recorded(client) -> list[dict]:
    return client.get(PATH).json()["recordings"]


def test_without_a_wish_nothing_is_recorded(here, member) -> None:
    ask(member)

    assert member.get(PATH).json() == {"left": 0, "until": None, "recordings": []}
    assert here.server.rows("SELECT * FROM proxy_recording") == []


def test_the_next_requests_are_recorded_with_their_answers_and_then_no_more(here, member) -> None:
    told = member.post(PATH, json={"count": 3}).json()
    assert told["left"] == 3
    assert told["until"]
    assert until(lambda: ask(member) or recorded(member))
    for _ in range(6):
        ask(member, stream=True)
    assert until(lambda: member.get(PATH).json()["left"] == 0)

    tapes = recorded(member)

    assert len(tapes) == 3
    assert tapes[0]["path"] == CHAT
    assert tapes[0]["status"] == 200
    assert json.loads(tapes[0]["request"])["messages"] == [{"role": "user", "content": PROMPT}]
    assert all(ANSWER.split()[0] in tape["answer"] for tape in tapes)
    assert tapes[-1]["answer"].endswith("data: [DONE]\n\n")
    assert tapes[0]["request_id"].startswith("req_")


def test_the_command_in_the_document_asks_for_three(here, member) -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    [command] = re.findall(r"^curl .*/v1/me/recordings .*$", page, re.MULTILINE)
    line = command.replace("http://127.0.0.1:7860", here.server.base_url).replace("Bearer PASSWORD", f"Bearer {OWN}")

    run = subprocess.run(["sh", "-c", f"{line} -sS --noproxy '*'"], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["left"] == 3
    assert member.get(PATH).json()["left"] == 3


def test_a_refusal_is_recorded_too(member) -> None:
    member.post(PATH, json={"count": 1})

    assert until(lambda: member.post(CHAT, json={"model": "nothing"}).status_code == 400 and recorded(member))
    [tape] = recorded(member)
    assert tape["status"] == 400
    assert "messages" in tape["answer"]


def test_only_the_member_s_own_password_opens_them(here, member) -> None:
    with here.server.client("") as stranger, logged_in(here.server) as admin:
        member.post(PATH, json={"count": 1})
        assert until(lambda: ask(member) or recorded(member))

        assert stranger.get(PATH).status_code == 401
        assert admin.get(PATH).status_code == 401
        assert found(here.server.stored()) == set()
        assert PROMPT not in here.server.output
        pages = " ".join(admin.get(path).text for path in ("/admin/", "/admin/proxy/requestlog/"))
        assert PROMPT not in pages


def test_after_a_day_they_are_gone(here, member) -> None:
    member.post(PATH, json={"count": 5})
    assert until(lambda: ask(member) or recorded(member))
    yesterday = [str(datetime.now(UTC) - timedelta(hours=25))]
    here.server.write(
        *((f"UPDATE {table} SET created_at = ?", yesterday) for table in ("proxy_recording", "proxy_recordingwish"))
    )

    assert member.get(PATH).json() == {"left": 0, "until": None, "recordings": []}
    here.server.restart()
    assert until(lambda: not here.server.rows("SELECT * FROM proxy_recording"))
    assert not here.server.rows("SELECT * FROM proxy_recordingwish")


def test_the_member_deletes_them_at_once(here) -> None:
    here.clear()
    with here.server.client(OWN) as member:
        member.post(PATH, json={"count": 5})
        assert until(lambda: ask(member) or recorded(member))

        assert member.delete(PATH).json() == {"left": 0, "until": None, "recordings": []}
    assert here.server.rows("SELECT * FROM proxy_recording") == []


@pytest.mark.parametrize("body", [{}, {"count": 0}, {"count": 21}, {"count": True}, {"count": "5"}, [], {"count": 1.5}])
def test_a_count_that_cannot_be_is_refused_at_its_field(here, body) -> None:
    with here.server.client(OWN) as member:
        refused = member.post(PATH, json=body)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "count"


def test_eavesdropping_who_has_the_shared_password_cannot_record_everybody_else_s_chats(here) -> None:
    here.clear()
    with here.server.client() as eavesdropper:
        refused = eavesdropper.post(PATH, json={"count": 20})
        page = eavesdropper.get("/me", headers={"accept": "text/html"})
        ask(eavesdropper)

        assert refused.status_code == 400
        assert "password of its own" in refused.json()["error"]["message"]
        assert eavesdropper.get(PATH).json() == {"left": 0, "until": None, "recordings": []}
    assert page.status_code == 200
    assert "data-record" not in page.text


def test_a_wish_of_a_member_that_the_environment_has_taken_over_records_nothing(here, member) -> None:
    member.post(PATH, json={"count": 20})
    assert until(lambda: ask(member) or recorded(member))
    taken = [("UPDATE keys_member SET source = 'environment' WHERE name = 'Anna'", ())]
    here.server.write(*taken, ("UPDATE proxy_revision SET number = number + 1", ()))
    try:
        assert until(lambda: member.post(PATH, json={"count": 20}).status_code == 400)
        before = len(recorded(member))
        for _ in range(3):
            ask(member)
        assert len(recorded(member)) == before
    finally:
        here.server.write(
            ("UPDATE keys_member SET source = 'admin' WHERE name = 'Anna'", ()),
            ("UPDATE proxy_revision SET number = number + 1", ()),
        )
        assert until(lambda: member.post(PATH, json={"count": 1}).status_code == 200)
        member.delete(PATH)
