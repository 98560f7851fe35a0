"""A new SECRET_KEY: everything that was encrypted with the earlier one is encrypted anew, and nothing is lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet

from keys import vault
from tests.databases import ABOUT_SQLITE
from tests.gemini import FakeGemini
from tests.serving import ROOT, Server, environment_for

pytestmark = [pytest.mark.usefixtures("gemini"), ABOUT_SQLITE]


def rotate(server: Server, **changes: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "rotate_encryption"],
        cwd=ROOT,
        env=environment_for(server.data_dir, {**server.changes, **changes}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def reads(secret_key: str, ciphertext: str) -> bool:
    try:
        Fernet(vault.base64.urlsafe_b64encode(vault._derive(secret_key))).decrypt(ciphertext.encode())
    except vault.InvalidToken:
        return False
    return True


def ciphertexts(server: Server) -> list[str]:
    tables = ("keys_key", "keys_secret", "proxy_thoughtsignature")
    return [row["ciphertext"] for table in tables for row in server.rows(f"SELECT ciphertext FROM {table}")]


def test_after_a_rotation_the_earlier_key_is_needed_for_nothing(
    serve: Callable[..., Server], gemini: FakeGemini
) -> None:
    server = serve(SECRET_KEY="the-earlier-key")
    server.stop()
    with sqlite3.connect(server.data_dir / "hajimi.sqlite3") as database:
        signature = Fernet(vault.base64.urlsafe_b64encode(vault._derive("the-earlier-key"))).encrypt(b"signature")
        database.execute(
            "INSERT INTO proxy_thoughtsignature VALUES ('call_1', ?, '2026-01-01 00:00:00')", (signature.decode(),)
        )

    done = rotate(server, SECRET_KEY="the-newer-key", SECRET_KEY_FALLBACKS="the-earlier-key")

    assert done.returncode == 0, done.stderr
    assert "keys: 3, encrypted anew: 3, unreadable: 0" in done.stdout
    assert "thought signatures: 1, encrypted anew: 1, unreadable: 0" in done.stdout
    assert len(ciphertexts(server)) >= 6
    assert all(reads("the-newer-key", each) and not reads("the-earlier-key", each) for each in ciphertexts(server))
    server.restart(SECRET_KEY="the-newer-key")
    # The pepper is the same: the password still opens, and the keys still answer.
    assert server.chat().status_code == 200


def test_a_rotation_that_cannot_read_everything_says_so_and_changes_none_of_that(
    serve: Callable[..., Server],
) -> None:
    server = serve(SECRET_KEY="the-earlier-key")
    server.stop()
    before = ciphertexts(server)

    done = rotate(server, SECRET_KEY="the-newer-key")

    assert done.returncode == 1
    assert "SECRET_KEY_FALLBACKS" in done.stderr
    assert "Traceback" not in done.stderr
    assert ciphertexts(server) == before


def test_a_key_that_nothing_can_read_is_out_with_the_reason_and_never_sent(
    serve: Callable[..., Server], gemini: FakeGemini
) -> None:
    server = serve()
    server.stop()
    with sqlite3.connect(server.data_dir / "hajimi.sqlite3") as database:
        database.execute("UPDATE keys_key SET ciphertext = 'gAAAAABrubbish' WHERE id = 1")
    printed = len(server.output)
    server.restart()
    gemini.clear()

    answers = [server.chat() for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 6
    assert "Key 1 cannot be decrypted" in server.output[printed:]
    sent = {call.headers.get("x-goog-api-key", "") for call in gemini.calls}
    assert len(sent) == 2
    assert "" not in sent
