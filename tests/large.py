"""The desk over a large house: 2,000 keys, 500 members, a million requests. python -m tests.large [--requests N]

Fills an empty database (SQLite in a folder of its own, or the one that DATABASE_URL names), starts hajimi on it, asks
for every page of the admin twice and prints how long the second time took: by the clock, and in CPU time of hajimi,
which a busy machine does not lengthen much. Fails when a page costs a second of CPU time or more, or holds a key.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.gemini import FakeGemini
from tests.serving import ADMIN_PASSWORD, ROOT, Server, environment_for

LIMIT_SECONDS = 1.0
DAYS = 30
BATCH = 5_000


def fill(keys: int, members: int, requests: int) -> None:
    """Fill the database that the environment names. Runs in a process of its own."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hajimi_site.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection, transaction

    from keys.importing import import_keys
    from keys.models import Member, Source
    from proxy.journal_rows import Rows

    call_command("migrate", verbosity=0)
    began = time.monotonic()
    import_keys([secret(number) for number in range(keys)], Source.ADMIN)
    print(f"{keys} keys imported in {time.monotonic() - began:.1f} s", flush=True)
    Member.objects.bulk_create(Member(name=f"member {number}", digest=f"{number:064}") for number in range(members))
    began, rows = time.monotonic(), Rows("default")
    for batch in _records(keys, members, requests):
        with transaction.atomic():
            rows.write_logs(batch)
            rows.write_usage(delta for record in batch for delta in record.usage)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    print(f"{requests} requests written in {time.monotonic() - began:.1f} s", flush=True)


def _records(keys: int, members: int, requests: int) -> Iterator[list]:
    from datetime import UTC, datetime

    from keys.models import Key, Member
    from keys.rules import Outcome
    from proxy import request_id
    from proxy.desk.key_facts import google_day
    from proxy.journal_rows import AttemptRecord, Record, UsageDelta

    dice = random.Random(1)
    key_ids = list(Key.objects.values_list("pk", flat=True))
    member_ids = list(Member.objects.values_list("pk", flat=True))
    failures = [Outcome.RATE_LIMITED, Outcome.UNAVAILABLE, Outcome.EMPTY, Outcome.TIMEOUT]
    models = ["gemini-2.5-flash"] * 6 + ["gemini-2.5-pro"] * 3 + ["gemini-2.0-flash"]
    start = time.time() - DAYS * 86_400
    batch: list[Record] = []
    for number in range(requests):
        at = start + number * DAYS * 86_400 / requests
        moment, model, key = datetime.fromtimestamp(at, UTC), dice.choice(models), dice.choice(key_ids)
        outcome = Outcome.ANSWERED if dice.random() < 0.94 else dice.choice([*failures, Outcome.REFUSED])
        tries = [
            AttemptRecord(
                number=one, key_id=dice.choice(key_ids), model=model, outcome=dice.choice(failures), started_at=moment,
                duration_ms=300, status=429, quota_id="GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                message="You exceeded your current quota, please check your plan and billing details.",
            )
            for one in range(1, 1 + (dice.random() < 0.2))
        ]  # fmt: skip
        last = AttemptRecord(
            number=len(tries) + 1, key_id=key, model=model, outcome=outcome, started_at=moment, duration_ms=900
        )
        used = [UsageDelta("key", str(key), google_day(moment), model, 1, 900, 300)]
        batch.append(
            Record(
                id=request_id.new(at), started_at=moment, member_id=dice.choice(member_ids), address="203.0.113.7",
                dialect="openai", model=model, stream=True, outcome=outcome, status=200, duration_ms=1200,
                attempts=[*tries, last], attempt_count=len(tries) + 1, usage=used,
            )
        )  # fmt: skip
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def secret(number: int) -> str:
    """Return a well-formed key."""
    return f"AIzaSyLargeHouse-------------------{number:05}"[:39].ljust(39, "x")


def addresses(browser: httpx.Client) -> list[str]:
    """Return the pages to ask for: lists, their filters and searches, single rows."""
    logs = browser.get("/admin/proxy/requestlog/").text
    shown = re.findall(r"req_[0-9a-z]{13}", logs)
    row = re.findall(r"/admin/proxy/requestlog/(\d+)/change/", logs)
    member = re.findall(r"/admin/keys/member/(\d+)/change/", browser.get("/admin/keys/member/").text)
    key = re.findall(r"/admin/keys/key/(\d+)/change/", browser.get("/admin/keys/key/").text)
    log = "/admin/proxy/requestlog/"
    long_ago = time.strftime("%Y-%m-%d", time.localtime(time.time() - 20 * 86_400))
    return [
        "/admin/",
        "/admin/keys/key/",
        "/admin/keys/key/?p=30",
        *(f"/admin/keys/key/?state={state}" for state in ("ready", "parked", "exhausted", "undecryptable")),
        f"/admin/keys/key/?q={secret(7)[-4:]}",
        f"/admin/keys/key/{key[0]}/change/",
        f"/admin/keys/key/{key[0]}/delete/",
        "/admin/keys/member/",
        f"/admin/keys/member/{member[0]}/change/",
        "/admin/keys/group/",
        "/admin/keys/usage/",
        "/admin/keys/park/",
        log,
        f"{log}?p=20",
        f"{log}?q={shown[0]}",
        f"{log}?q=gemini-2.5-pro",
        f"{log}?q=203.0.113.9",
        f"{log}?q=content_filter",
        f"{log}?outcome__exact=failed",
        f"{log}?outcome__exact=answered",
        f"{log}?outcome__exact=blocked",
        f"{log}?member__id__exact={member[3]}",
        f"{log}?member__id__exact={member[3]}&outcome__exact=refused",
        f"{log}?model=gemini-2.0-flash&outcome__exact=answered",
        f"{log}?model=gemini-2.5-flash&outcome__exact=blocked",
        f"{log}?started_at_from_0={long_ago}&started_at_to_0={long_ago}",
        f"{log}?started_at_from_0={long_ago}&started_at_to_0={long_ago}&outcome__exact=timeout&member__id__exact={member[9]}",
        f"{log}{row[0]}/change/",
        "/admin/proxy/settings/1/change/",
        "/admin/proxy/blockedmodel/",
        "/admin/proxy/upstreammodel/",
        "/admin/auth/user/",
    ]


def measure(server: Server) -> int:
    """Print how long each page takes; return how many are too slow, broken, or hold a key."""
    faults = 0
    with httpx.Client(base_url=server.base_url, timeout=120, follow_redirects=True, trust_env=False) as browser:
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', browser.get("/admin/login/").text)
        assert token
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
        browser.post("/admin/login/", data=form)
        for address in addresses(browser):
            browser.get(address)
            began, before = time.monotonic(), cpu_seconds(server.pid)
            answer = browser.get(address)
            took, cost = time.monotonic() - began, cpu_seconds(server.pid) - before
            wrong = [f"status {answer.status_code}"] if answer.status_code != 200 else []
            wrong += ["TOO SLOW"] if cost >= LIMIT_SECONDS else []
            wrong += ["HOLDS A KEY"] if "AIzaSy" in answer.text else []
            faults += bool(wrong)
            times = f"{took * 1000:6.0f} ms, {cost * 1000:6.0f} ms CPU"
            print(f"{times} {len(answer.content) / 1000:6.0f} kB  {address}  {' '.join(wrong)}", flush=True)
    return faults


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Fill, serve, measure; the exit code is 0 when every page was quick and held no key."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--members", type=int, default=500)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, help="a folder to keep; filled when it is not there yet")
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(options.keys, options.members, options.requests)
        return 0
    with tempfile.TemporaryDirectory(prefix="hajimi-large-") as folder, FakeGemini() as gemini:
        data = options.data or Path(folder) / "data"
        is_filled = data.exists()
        data.mkdir(parents=True, exist_ok=True)
        choices = {"GEMINI_BASE_URL": gemini.url, "DATABASE_URL": os.environ.get("DATABASE_URL")}
        sizes = [f"--keys={options.keys}", f"--members={options.members}", f"--requests={options.requests}"]
        command = [sys.executable, "-m", "tests.large", "--fill", *sizes]
        if not is_filled:
            subprocess.run(command, cwd=ROOT, env=environment_for(data, choices), check=True)
        server = Server(data, {**choices, "GEMINI_API_KEYS": None}).start(seconds=120)
        try:
            return min(measure(server), 1)
        finally:
            server.kill()


if __name__ == "__main__":
    sys.exit(main())
