"""GET /metrics: who may read it, and that it is right for all processes of the machine."""

from __future__ import annotations

import base64
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gemini import FakeGemini, answer, reset
from tests.redises import ON_REDIS, REDIS_URL, forget, fresh_prefix
from tests.serving import ADMIN_PASSWORD, Server

Serve = Callable[..., Server]
Numbers = dict[tuple[str, str], float]


def scrape(server: Server, **options: object) -> httpx.Response:
    with server.client("") as client:
        return client.get("/metrics", **options)  # type: ignore[arg-type]


def numbers(server: Server) -> Numbers:
    """Return the value of each metric, by name and label."""
    response = scrape(server, auth=("admin", ADMIN_PASSWORD))
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_it_counts_requests_attempts_tokens_and_refusals(gemini: FakeGemini, serve: Serve) -> None:
    server = serve(MAX_REQUESTS_PER_MINUTE=3)
    gemini.replies(500)
    statuses = [server.chat().status_code for _ in range(4)]
    with server.client("wrong") as client:
        client.get("/v1/models")
    assert statuses == [200, 200, 200, 429]

    found = numbers(server)

    assert found["hajimi_requests_total", "answered"] == 3
    assert found["hajimi_requests_total", "refused"] == 1
    assert found["hajimi_attempts_total", "answered"] == 3
    assert found["hajimi_attempts_total", "unavailable"] == 1
    assert found["hajimi_ledger_refusals_total", "member_minute"] == 1
    assert found["hajimi_refusals_total", "rate_limit_exceeded"] == 1
    assert found["hajimi_refusals_total", "invalid_api_key"] == 1
    assert found["hajimi_first_output_seconds_count", ""] == 3
    assert found["hajimi_first_output_seconds_bucket", "+Inf"] == 3
    [logged] = server.rows("SELECT sum(prompt_tokens) prompt, sum(completion_tokens) completion FROM proxy_requestlog")
    assert found["hajimi_tokens_total", "prompt"] == logged["prompt"] > 0
    assert found["hajimi_tokens_total", "completion"] == logged["completion"] > 0
    assert found["hajimi_keys", "usable"] == 3
    assert found["hajimi_requests_in_flight", ""] == 0
    assert found["hajimi_journal_depth", ""] == 0
    assert found["hajimi_upstream_outages", ""] == 0
    assert found["hajimi_journal_entries_total", "written"] == 4
    assert found["hajimi_journal_entries_total", "lost"] == 0
    [memory] = [value for (name, _), value in found.items() if name == "hajimi_process_resident_bytes"]
    assert memory > 2**20


def test_keys_are_counted_by_state(gemini: FakeGemini, serve: Serve) -> None:
    server = serve()
    gemini.replies(403)
    assert server.chat().status_code == 200

    found = numbers(server)

    assert (found["hajimi_keys", "usable"], found["hajimi_keys", "disabled"]) == (2, 1)


def test_keys_whose_day_is_used_up_are_counted_as_resting(serve: Serve) -> None:
    server = serve(API_KEY_DAILY_LIMIT=1)
    assert [server.chat().status_code for _ in range(4)] == [200, 200, 200, 429]

    found = numbers(server)

    assert (found["hajimi_keys", "usable"], found["hajimi_keys", "resting"]) == (0, 3)


def test_it_tells_what_is_under_way(gemini: FakeGemini, serve: Serve) -> None:
    server = serve()
    gemini.always(answer("pong", held=True))
    with ThreadPoolExecutor(2) as clients:
        told = [clients.submit(server.chat) for _ in range(2)]
        gemini.wait_until(lambda: gemini.in_flight == 2)
        meanwhile = numbers(server)
        gemini.release()

    assert [one.result().status_code for one in told] == [200, 200]
    assert meanwhile["hajimi_requests_in_flight", ""] == 2
    after = numbers(server)
    assert after["hajimi_requests_in_flight", ""] == 0
    assert after["hajimi_requests_total", "answered"] == 2


def test_an_upstream_that_is_out_is_counted_until_it_answers(gemini: FakeGemini, serve: Serve) -> None:
    server = serve(MAX_ATTEMPTS=5, HEADERS_HOLD_SECONDS=1)
    gemini.always(reset())
    told = [server.chat() for _ in range(6)]
    assert told[-1].json()["error"]["code"] == "upstream_out"

    found = numbers(server)

    assert found["hajimi_upstream_outages", ""] == 1
    assert found["hajimi_requests_total", "unavailable"] == 6
    assert found["hajimi_attempts_total", "cut"] + found.get(("hajimi_attempts_total", "unavailable"), 0) >= 20
    gemini.always(answer("pong"))
    limit = time.monotonic() + 30
    while server.chat().status_code != 200:
        assert time.monotonic() < limit
        time.sleep(0.5)
    assert numbers(server)["hajimi_upstream_outages", ""] == 0


def test_only_admins_may_read_it(serve: Serve) -> None:
    server = serve()

    for options in (
        {},
        {"auth": ("admin", "wrong")},
        {"headers": {"authorization": f"Bearer {server.password}"}},
        {"headers": {"authorization": "Basic not base64"}},
        {"headers": {"authorization": "Basic " + base64.b64encode(b"no colon").decode()}},
    ):
        response = scrape(server, **options)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Basic ")
        assert "hajimi_" not in response.text


@pytest.mark.parametrize(
    "credential",
    ["\xff", "ü", "====", "x", base64.b64encode(b"\xff:x").decode(), base64.b64encode(b"ad\0min:x").decode()],
)
def test_a_broken_credential_is_refused_and_breaks_nothing(serve: Serve, credential: str) -> None:
    server = serve()

    answer = scrape(server, headers={"authorization": f"Basic {credential}".encode("latin-1")})

    assert answer.status_code == 401
    assert "Traceback" not in server.output


def test_an_admin_who_is_signed_in_may_read_it_in_the_browser(serve: Serve) -> None:
    server = serve()
    with server.client("", follow_redirects=True) as client:
        page = client.get("/admin/login/").text
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[:1]
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        assert client.post("/admin/login/", data=form).status_code == 200

        assert "hajimi_requests_in_flight" in client.get("/metrics").text


def test_a_password_that_was_changed_is_good_no_more(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    assert scrape(server, auth=("admin", ADMIN_PASSWORD)).status_code == 200
    assert scrape(server, auth=("admin", ADMIN_PASSWORD)).status_code == 200

    server.restart(ADMIN_PASSWORD="quite-another-horse")

    assert scrape(server, auth=("admin", ADMIN_PASSWORD)).status_code == 401
    assert scrape(server, auth=("admin", "quite-another-horse")).status_code == 200


@pytest.fixture
def prefix() -> Iterator[str]:
    made = fresh_prefix()
    yield made
    forget(REDIS_URL, made)


@ON_REDIS
def test_it_is_right_for_all_processes_also_when_one_has_died(gemini: FakeGemini, serve: Serve, prefix: str) -> None:
    gemini.always(answer("pong"))
    server = serve(WORKERS=3, REDIS_URL=REDIS_URL, REDIS_PREFIX=prefix)
    for _ in range(30):
        assert server.chat().status_code == 200
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    # Each process lets the others know within a second.
    time.sleep(1.2)

    # Whichever process is asked, the answer is the same.
    for _ in range(6):
        found = numbers(server)
        assert found["hajimi_requests_total", "answered"] == 30
        assert {pid for name, pid in found if name == "hajimi_process_resident_bytes"} == set(children)

    os.kill(int(children[0]), signal.SIGKILL)
    limit = time.monotonic() + 30
    while "serves again" not in server.output:
        assert time.monotonic() < limit
        time.sleep(0.1)
    found = numbers(server)
    assert found["hajimi_requests_total", "answered"] == 30
    assert children[0] not in {pid for name, pid in found if name == "hajimi_process_resident_bytes"}
