"""An admin's second factor in the wide canary run: set up, used, used wrongly, looked at afterwards, taken away."""

from __future__ import annotations

import base64
import re
import time

import httpx
from django_otp.oath import totp

from tests.canaries import ADMIN
from tests.forms import fields_of
from tests.service.looking import Run

FACTOR = "/admin/second-factor/"


def set_up_second_factor(run: Run, browser: httpx.Client) -> None:
    """The page of the set-up shows the seed, and the next one the recovery codes: once, and nothing else ever does."""
    page = browser.get(FACTOR)
    seed = re.search(r"desk-mono\">([A-Z2-7]{32})<", page.text)
    assert seed
    raw = base64.b32decode(seed[1])
    browser.post(FACTOR, data=fields_of(page) | {"code": "000000"})
    # A wrong code makes the device wait for a second.
    time.sleep(1.2)
    done = browser.post(FACTOR, data=fields_of(page) | {"code": f"{totp(raw):06}"})
    codes = re.search(r'<pre[^>]*id="codes">(.*?)</pre>', done.text, re.DOTALL)
    assert codes
    first, second, *_others = codes[1].split()
    run.seen.canaries |= {
        "a second factor's seed": seed[1],
        "the seed in hex": raw.hex(),
        "the seed in base64": base64.b64encode(raw).decode().rstrip("="),
        "a recovery code": first,
        "another recovery code": second,
    }
    run.seen.add("second factor, afterwards", browser.get(FACTOR).content)


def log_in_with_codes(run: Run) -> None:
    """Log in with a recovery code, then with the same again, with a wrong one, and with one in the name's field."""
    used = run.seen.canaries["a recovery code"]
    for given in (
        {"username": "admin", "password": ADMIN, "code": used},
        {"username": "admin", "password": ADMIN, "code": used},
        {"username": "admin", "password": ADMIN, "code": "123456"},
        {"username": run.seen.canaries["a second factor's seed"], "password": "x", "code": used},
    ):
        with run.server.client("") as stranger:
            form = fields_of(stranger.get("/admin/login/")) | given
            stranger.post("/admin/login/?next=/admin/", data=form, headers={"x-forwarded-for": "203.0.113.9"})


def take_second_factor_away(run: Run) -> None:
    done = run.server.manage("remove_second_factor", "admin")
    run.seen.add("command remove_second_factor", done.stdout + done.stderr)
    assert done.returncode == 0
