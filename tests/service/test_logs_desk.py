"""The request logs and the models in the admin: what they tell, how they are narrowed down, what goes into the file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Key, Member
from proxy import request_id, runtime
from proxy.models import Attempt, BlockedModel, RequestLog, UpstreamModel
from tests.databases import BACKENDS, database
from tests.gemini import answer, error
from tests.service.houses import house
from tests.serving import ADMIN_PASSWORD

LOGS, BLOCKED, MODELS = "/admin/proxy/requestlog/", "/admin/proxy/blockedmodel/", "/admin/proxy/upstreammodel/"


@pytest.fixture(params=BACKENDS)
def browser(request: Any, tmp_path: Path, django_db_blocker: Any) -> Iterator[Client]:
    with django_db_blocker.unblock(), database(request.param, tmp_path):
        client = Client()
        client.force_login(User.objects.create_superuser("admin"))
        yield client


def log(*, ago: timedelta = timedelta(), **fields: Any) -> RequestLog:
    at = timezone.now() - ago
    given = {"started_at": at, "address": "10.0.0.1", "dialect": "openai", "model": "gemini-2.5-flash"}
    given |= {"stream": False, "outcome": "answered", "status": 200, "duration_ms": 1}
    return RequestLog.objects.create(id=request_id.new(at.timestamp()), **given | fields)


def page(response: Any) -> str:
    assert response.status_code == 200, response
    return str(response.content.decode())


def shown(response: Any) -> set[str]:
    return set(re.findall(r"req_[0-9a-z]{13}", page(response)))


def ids(*logs: RequestLog) -> set[str]:
    return {request_id.shown(one.pk) for one in logs}


def test_a_row_holds_its_attempts(browser: Client) -> None:
    one = log(outcome="unavailable", message="No luck <today>")
    key = Key.objects.create(ciphertext="-", digest="1", tail="WXYZ")
    for number, outcome in ((1, "rate_limited"), (2, "unavailable")):
        Attempt.objects.create(
            request=one, number=number, key=key, model="m", outcome=outcome, started_at=one.started_at,
            duration_ms=70 + number, quota_id="PerDay", message=f"sentence {number}",
        )  # fmt: skip
    for _ in range(30):
        log()

    with CaptureQueriesContext(connection) as queries:
        text = page(browser.get(LOGS))

    assert all(word in text for word in ("…WXYZ", "sentence 1", "sentence 2", "PerDay", "71", "72"))
    assert "No luck &lt;today&gt;" in text
    assert len(queries) < 14


def test_the_log_is_narrowed_down_by_outcome_member_and_model(browser: Client) -> None:
    alice = Member.objects.create(name="alice <b>", digest="a")
    UpstreamModel.objects.create(name="gemini-2.5-pro", seen_at=timezone.now())
    answered, empty = log(member=alice), log(outcome="empty", model="gemini-2.5-pro")

    assert shown(browser.get(LOGS, {"outcome__exact": "empty"})) == ids(empty)
    assert shown(browser.get(LOGS, {"outcome__exact": "failed"})) == ids(empty)
    assert shown(browser.get(LOGS, {"member__id__exact": alice.pk})) == ids(answered)
    assert shown(browser.get(LOGS, {"model": "gemini-2.5-pro"})) == ids(empty)
    assert shown(browser.get(LOGS, {"model": "gone-model"})) == set()
    assert "alice <b>" not in page(browser.get(LOGS))


def test_the_log_is_narrowed_down_by_time(browser: Client) -> None:
    old, new = log(ago=timedelta(days=3)), log()
    day = timezone.localtime(old.started_at).date().isoformat()

    assert shown(browser.get(LOGS, {"started_at_from_0": day, "started_at_to_0": day})) == ids(old)
    late = {"started_at_from_0": day, "started_at_from_1": "23:59:59"}
    assert ids(new) <= shown(browser.get(LOGS, late))
    assert shown(browser.get(LOGS, {"started_at_from_0": "rubbish", "started_at_to_1": "25:99"})) == ids(old, new)


@pytest.mark.parametrize("name", ["proxy/requestlog", "keys/key", "keys/usage"])
def test_no_list_of_many_rows_counts_them_by_filter(browser: Client, name: str) -> None:
    log()

    assert "_facets" not in page(browser.get(f"/admin/{name}/"))
    with CaptureQueriesContext(connection) as queries:
        browser.get(f"/admin/{name}/?_facets=True", follow=True)
    assert len(queries) < 25


def test_a_search_that_leaves_older_requests_out_says_so_and_a_filter_looks_further_back(browser: Client) -> None:
    anna = Member.objects.create(name="Anna", digest="1")
    old = log(ago=timedelta(days=3), address="192.0.2.7", code="no_answer", member=anna)
    new = log(address="192.0.2.8")
    names = [field.column for field in RequestLog._meta.fields if field.name != "id"]
    columns = ", ".join(names)
    many = f"""INSERT INTO proxy_requestlog (id, {columns})
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        SELECT id - i, {columns} FROM proxy_requestlog, n WHERE id = {new.pk}"""
    assert log(address="192.0.2.9")
    assert "are looked for among" not in page(browser.get(f"{LOGS}?q=192.0.2.7"))
    with connection.cursor() as cursor:
        cursor.execute(many)

    for term in ("192.0.2.7", "no_answer"):
        answer = browser.get(f"{LOGS}?q={term}")
        assert "are looked for among the newest 100,000 requests" in page(answer)
        assert shown(answer) == set()
        answer = browser.get(f"{LOGS}?q={term}&member__id__exact={anna.pk}")
        assert "are looked for among" not in page(answer)
        assert shown(answer) == ids(old)
    assert "are looked for among" not in page(browser.get(f"{LOGS}?q={request_id.shown(old.pk)}"))


def test_an_empty_log_says_what_to_do_and_a_filtered_one_how_to_get_out(browser: Client) -> None:
    assert "send a message" in page(browser.get(LOGS))
    log()
    assert "No row fits" in page(browser.get(LOGS, {"outcome__exact": "empty"}))


@pytest.mark.parametrize(
    "page_name", ["keys/key", "keys/park", "keys/usage", "proxy/blockedmodel", "proxy/upstreammodel"]
)
def test_each_empty_list_says_why(browser: Client, page_name: str) -> None:
    text = page(browser.get(f"/admin/{page_name}/"))

    assert "Nothing here yet" not in text
    assert re.search(r"<h2[^>]*>[^<]{8,}</h2>\s*<p[^>]*>[^<]{20,}</p>", text)


# The file.


def test_all_requests_that_fit_go_into_the_file_with_their_attempts(tmp_path: Path) -> None:
    with house(tmp_path) as here, httpx.Client(base_url=here.server.base_url, trust_env=False) as browser:
        here.gemini.replies(error("overloaded"), answer("hi"), model="gemini-2.5-pro")
        here.server.chat(model="gemini-2.5-pro")
        quoted = [here.server.chat().headers["x-request-id"] for _ in range(3)]
        form = browser.get("/admin/login/").text
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', form)
        assert token
        fields = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": token[1]}
        browser.post("/admin/login/?next=/admin/", data=fields)

        whole = browser.get(f"{LOGS}export/")
        chosen = browser.get(f"{LOGS}export/?model=gemini-2.5-pro")

    rows = list(csv.DictReader(io.StringIO(whole.text.removeprefix("\ufeff"))))
    assert whole.headers["content-type"].startswith("text/csv")
    assert [row["request_id"] for row in rows][:3] == quoted[::-1]
    assert len(rows) == 4
    [row] = csv.DictReader(io.StringIO(chosen.text.removeprefix("\ufeff")))
    assert re.fullmatch(r"….{4}:unavailable:\d+ms ….{4}:answered:\d+ms", row["attempts"])
    assert "AIza" not in whole.text


def test_a_members_request_that_is_refused_at_the_door_has_a_row_and_a_strangers_has_none(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "what was said"}]
    bodies: list[dict[str, Any]] = [
        {"model": "gemini-2.5-pro", "messages": said},
        {"model": "AIzaSyFakeKeyOfTheSimulator-----------A", "messages": said},
        {"model": "gemini-2.5-flash", "messages": said, "n": "what was said"},
    ]
    with house(tmp_path, BLOCKED_MODELS="gemini-2.5-pro AIza*") as here:
        with here.server.client() as member, here.server.client("wrong password") as stranger:
            unknown = stranger.post("/v1/chat/completions", json=bodies[0])
            refused = [member.post("/v1/chat/completions", json=body) for body in bodies]
        here.server.chat()
        rows = [here.log(answer.headers["x-request-id"]) for answer in refused]
        nobody = here.server.rows(
            "SELECT * FROM proxy_requestlog WHERE id = ?", request_id.parse(unknown.headers["x-request-id"])
        )

    assert nobody == []
    assert [answer.status_code for answer in refused] == [row["status"] for row in rows] == [404, 404, 400]
    assert [row["code"] for row in rows] == ["model_not_found", "model_not_found", "invalid_request"]
    assert [row["model"] for row in rows] == ["gemini-2.5-pro", "***", ""]
    assert {(row["outcome"], row["attempt_count"], row["dialect"]) for row in rows} == {("refused", 0, "openai")}
    assert all(row["member_id"] and row["message"] for row in rows)
    assert "what was said" not in str(rows)
    assert "AIza" not in str(rows)


def test_only_admins_get_the_file(browser: Client) -> None:
    assert Client().get(f"{LOGS}export/").status_code == 302
    reader = User.objects.create_user("reader", is_staff=True)
    other = Client()
    other.force_login(reader)
    assert other.get(f"{LOGS}export/").status_code == 403


@pytest.mark.parametrize("query", ["member__id__exact=abc", "started_at__gte=someday"])
def test_a_filter_that_cannot_be_leads_to_the_list_instead_of_a_file(browser: Client, query: str) -> None:
    for name in ("alice", "bob"):
        Member.objects.create(name=name, digest=name)

    for address in (LOGS, f"{LOGS}export/"):
        assert browser.get(f"{address}?{query}")["location"] == f"{LOGS}?e=1"
    assert browser.get(f"{LOGS}?e=1").status_code == 200


# Models.


def test_models_are_blocked_from_googles_list_at_once(browser: Client) -> None:
    rows = [UpstreamModel.objects.create(name=name, seen_at=timezone.now()) for name in ("gemini-a", "gemini-b")]

    chosen = {"action": "block", "_selected_action": [row.pk for row in rows]}
    text = page(browser.post(MODELS, chosen, follow=True))

    assert "2 models blocked." in text
    assert runtime.load().blocked.matches("models/gemini-a")
    assert "gemini-a" in page(browser.get(BLOCKED))


def test_a_blocked_name_says_what_it_covers_now(browser: Client) -> None:
    for name in ("gemini-2.5-pro", "gemini-2.5-flash", "gemma-3"):
        UpstreamModel.objects.create(name=name, seen_at=timezone.now())
    BlockedModel.objects.create(pattern="gemini-2.5-*")

    assert "gemini-2.5-flash, gemini-2.5-pro<" in page(browser.get(BLOCKED))


@pytest.mark.parametrize("pattern", ["a b", "a,b", "a；b", "", "x" * 121, "<script>", "模型"])
def test_what_is_not_one_name_or_glob_is_refused_at_its_field(browser: Client, pattern: str) -> None:
    assert browser.post(f"{BLOCKED}add/", {"pattern": pattern}).status_code == 200
    assert not BlockedModel.objects.exists()
