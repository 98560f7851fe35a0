"""`make bench-pages`: how long each page of the admin's desk takes, and the dashboard's snapshot, in a house of 2,000
keys, 500 members and a million log rows, on SQLite, and on PostgreSQL where DATABASE_URL names an empty one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx

from bench.growth import Sizes, keys
from tests.forms import logged_in
from tests.serving import ROOT, Server, environment_for

HOUSE: Final = Sizes(keys=2000, members=500, rows=1_000_000)
TIMES: Final = 3
SECONDS_AT_MOST: Final = 1.0
SNAPSHOT, SNAPSHOT_AT_MOST = "/admin/dashboard/snapshot", 0.05
# A snapshot serves for a second; each of these is taken anew.
SNAPSHOT_TIMES, SNAPSHOT_PAUSE = 9, 1.1

FILL: Final = """
import datetime, random, sys
import django
django.setup()
from django.db import connection
from django.utils import timezone
from keys import vault
from keys.ledger.windows import PACIFIC
from keys.models import Group, Key, Member, Park, Usage
from proxy import request_id
from proxy.models import Attempt, RequestLog
members, rows = int(sys.argv[1]), int(sys.argv[2])
dice = random.Random(1)
vault.unlock()
groups = Group.objects.bulk_create(Group(name=f"group-{n}", requests_per_day=1000) for n in range(20))
Member.objects.bulk_create(
    Member(name=f"member-{n:03}", digest=vault.digest(f"password-of-member-{n}"), group=dice.choice(groups))
    for n in range(members)
)
member_ids = list(Member.objects.values_list("pk", flat=True))
key_ids = list(Key.objects.values_list("pk", flat=True))
models = ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite", "gemini-2.0-flash"]
faultless = "gemini-never-failed"
now = timezone.now()
today, pacific = timezone.localdate(), now.astimezone(PACIFIC).date()
month = 30 * 86400
Park.objects.bulk_create(
    Park(key_id=key, model=models[1], reason="per_day", until=now + datetime.timedelta(hours=9), created_at=now)
    for key in key_ids[::4]
)
def usage(kind, subjects, day):
    for ago in range(30):
        Usage.objects.bulk_create([
            Usage(kind=kind, subject=str(one), day=day - datetime.timedelta(days=ago), model=model, requests=20,
                prompt_tokens=9000, completion_tokens=3000)
            for one in subjects for model in models[:2]
        ], batch_size=5000)
usage("key", key_ids, pacific)
usage("member", member_ids, today)
ends = ["answered"] * 90 + ["empty"] * 3 + ["rate_limited"] * 4 + ["unavailable"] * 2 + ["refused"]
for begin in range(0, rows, 10000):
    logs, tries = [], []
    for n in range(begin, min(rows, begin + 10000)):
        at = now - datetime.timedelta(seconds=month * (rows - n) / rows)
        outcome, model = dice.choice(ends), dice.choice(models)
        number = request_id.first(at.timestamp()) + dice.randrange(1 << 22)
        if outcome == "answered" and model == models[3]:
            model = faultless
        count = 0 if outcome == "refused" else dice.choice((1, 1, 1, 1, 2))
        logs.append(RequestLog(id=number, started_at=at, member_id=dice.choice(member_ids),
            address=f"10.0.{dice.randrange(4)}.{dice.randrange(250)}", dialect="openai", model=model, stream=True,
            outcome=outcome, status=200 if outcome == "answered" else 503, duration_ms=900, first_output_ms=300,
            code="" if outcome == "answered" else "no_answer", message="" if outcome == "answered" else "Said why.",
            attempt_count=count, prompt_tokens=900, completion_tokens=100))
        tries += [Attempt(request_id=number, number=one + 1, key_id=dice.choice(key_ids), model=model,
            outcome=outcome if one == count - 1 else "unavailable", status=200, started_at=at, duration_ms=900,
            message="" if outcome == "answered" and one == count - 1 else "Google said why.") for one in range(count)]
    RequestLog.objects.bulk_create(logs, batch_size=1000, ignore_conflicts=True)
    Attempt.objects.bulk_create(tries, batch_size=1000)
with connection.cursor() as cursor:
    cursor.execute("ANALYZE")
"""


def pages(server: Server) -> dict[str, str]:
    """Return the addresses of all pages that read the database, by what they are."""
    [key] = server.rows("SELECT id FROM keys_key ORDER BY id LIMIT 1 OFFSET 800")
    [member] = server.rows("SELECT id FROM keys_member ORDER BY id LIMIT 1 OFFSET 100")
    [group] = server.rows("SELECT id FROM keys_group ORDER BY id LIMIT 1")
    [count] = server.rows("SELECT count(*) AS rows FROM proxy_requestlog")
    [log] = server.rows(f"SELECT id, address FROM proxy_requestlog ORDER BY id LIMIT 1 OFFSET {count['rows'] // 2}")
    of_member = f"member__id__exact={member['id']}"
    logs, listed = "/admin/proxy/requestlog/", "/admin/keys/key/"
    return {
        "dashboard": "/admin/",
        "keys": listed,
        "keys, last page": f"{listed}?p=40",
        "keys that are ready": f"{listed}?state=ready",
        "keys that rest": f"{listed}?state=parked",
        "keys, searched": f"{listed}?q=00042",
        "a key": f"{listed}{key['id']}/change/",
        "a key's history": f"{listed}{key['id']}/history/",
        "add a key": f"{listed}add/",
        "import keys": f"{listed}import/",
        "resting keys": "/admin/keys/park/",
        "members": "/admin/keys/member/",
        "members, searched": "/admin/keys/member/?q=member-07",
        "a member": f"/admin/keys/member/{member['id']}/change/",
        "add a member": "/admin/keys/member/add/",
        "add many members": "/admin/keys/member/bulk/",
        "groups": "/admin/keys/group/",
        "a group": f"/admin/keys/group/{group['id']}/change/",
        "request logs": logs,
        "logs, last page": f"{logs}?p=25",
        "logs of a member": f"{logs}?{of_member}",
        "logs of a model": f"{logs}?model=gemini-2.5-pro",
        "logs that failed": f"{logs}?outcome__exact=failed",
        "failed logs of a member": f"{logs}?outcome__exact=failed&{of_member}",
        "failed logs of a model that never failed": f"{logs}?outcome__exact=failed&model=gemini-never-failed",
        "rare outcome of a model that never had it": f"{logs}?outcome__exact=refused&model=gemini-never-failed",
        "logs by address": f"{logs}?q={log['address']}",
        "logs by an address that never came": f"{logs}?q=192.0.2.77",
        "logs by error code": f"{logs}?q=no_answer",
        "logs by a code that never came": f"{logs}?q=no_such_code",
        "a request": f"{logs}{log['id']}/change/",
        "usage": "/admin/keys/usage/",
        "usage of keys": "/admin/keys/usage/?kind__exact=key",
        "settings": "/admin/proxy/settings/1/change/",
        "blocked models": "/admin/proxy/blockedmodel/",
        "Google's models": "/admin/proxy/upstreammodel/",
        "admins": "/admin/auth/user/",
        "second factor": "/admin/second-factor/",
        "status page": "/",
    }


def fill(server: Server, sizes: Sizes) -> None:
    """Make the rows. hajimi starts once, so that everything is there that it makes itself."""
    server.start()
    server.stop()
    environment = environment_for(server.data_dir, server.changes)
    environment |= {"DJANGO_SETTINGS_MODULE": "hajimi_site.settings", "PYTHONPATH": os.fspath(ROOT)}
    command = [sys.executable, "-c", FILL, str(sizes.members), str(sizes.rows)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def measure(browser: httpx.Client, path: str, *, times: int = TIMES, pause: float = 0.0) -> float:
    """Return the median of the seconds that a page takes, after one look at it."""
    taken = []
    for _ in range(times + 1):
        time.sleep(pause)
        begin = time.perf_counter()
        answer = browser.get(path, timeout=60)
        taken.append(time.perf_counter() - begin)
        assert answer.status_code == 200, (path, answer.status_code)
    return statistics.median(taken[1:])


def main() -> int:
    """Fill a database unless it is there already, measure, print the table; 1 when something takes too long."""
    parser = argparse.ArgumentParser(prog="bench.pages", description=__doc__)
    parser.add_argument("--rows", type=int, default=HOUSE.rows)
    parser.add_argument("--keep", type=Path, help="a folder for the database, used again if it is there")
    parser.add_argument("--only", default="", help="pages whose name holds this; snapshot for that alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hajimi-pages-") as folder:
        data_dir = options.keep or Path(folder)
        changes: dict[str, object] = {"GEMINI_BASE_URL": "http://127.0.0.1:9", "GEMINI_API_KEYS": keys(HOUSE.keys)}
        changes["DATABASE_URL"] = os.environ.get("DATABASE_URL", "")
        server = Server(data_dir, changes)
        if not (data_dir / "filled").exists():
            fill(server, Sizes(HOUSE.keys, HOUSE.members, options.rows))
            (data_dir / "filled").touch()
        server.start()
        try:
            return _table(server, options.only)
        finally:
            server.kill()


def _table(server: Server, only: str) -> int:
    """Print how long each page takes, and the dashboard's snapshot; 1 when one of them is beyond its bar."""
    slow = []
    print("| page | median | at most |\n|---|---|---|")
    with logged_in(server) as browser:
        for name, path in pages(server).items():
            if only in name:
                slow += row(name, measure(browser, path), SECONDS_AT_MOST)
        if only in "snapshot":
            taken = measure(browser, SNAPSHOT, times=SNAPSHOT_TIMES, pause=SNAPSHOT_PAUSE)
            slow += row("the dashboard's snapshot", taken, SNAPSHOT_AT_MOST)
    if slow:
        print(f"Beyond the bars: {', '.join(slow)}.", file=sys.stderr)
    return 1 if slow else 0


def row(name: str, seconds: float, at_most: float) -> list[str]:
    """Print one line of the table; return the name if it is beyond its bar."""
    is_slow = seconds > at_most
    shown = f"**{seconds * 1000:.0f} ms**" if is_slow else f"{seconds * 1000:.0f} ms"
    print(f"| {name} | {shown} | {at_most * 1000:.0f} ms |", flush=True)
    return [name] if is_slow else []


if __name__ == "__main__":
    sys.exit(main())
