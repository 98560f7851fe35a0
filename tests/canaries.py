"""Secrets and words unlike everything else on this machine, and how to find them again in any disguise."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from urllib.parse import quote

KEYS = (
    "AIzaSyCanaryKeyNumberOne-zqx7k1pWv4u9T2",
    "AQ.CanaryKeyNumberTwo-zqx7k2pWv4u9T2aaaa",
    "sk-canary-odd-key-zqx7k3pWv4u9T2",
    "AIzaSyCanaryKeyNumberFour-zqx7k4pWv4u9T",
)
PASTED = "AIzaSyCanaryKeyPasted-zqx7k5pWv4u9T2bcd"
SHARED = "canary-member-zqx7k6pWv4u9T2"
BOB = "canary-bob-zqx7kkpWv4u9T2"
ALICE = "canary-alice-zqx7k7pWv4u9T2"
# One that was never ours: nothing knows it, so nothing can look for it.
STRANGE_KEY = "sk-canary-strange-key-zqx7kjpWv4u9T2"
GUESS = "canary-guess-zqx7k8pWv4u9T2"
ADMIN = "canary-admin-zqx7k9pWv4u9T2"
SECRET_KEY = "canary-secret-key-zqx7kapWv4u9T2"
PROMPT = "canary prompt zqx7kbpWv4u9T2"
SYSTEM = "canary system zqx7kcpWv4u9T2"
TOOL = "canary-tool-argument-zqx7kdpWv4u9T2"
ANSWER = "canary answer zqx7kepWv4u9T2"
THOUGHT = "canary thought zqx7kfpWv4u9T2"
SIGNATURE = base64.b64encode(b"canary signature zqx7kgpWv4u9T2").decode()
URL_PASSWORD = "canary-url-zqx7khpWv4u9T2"
PICTURE = base64.b64encode(b"\x89PNG canary picture zqx7kipWv4u9T2").decode()
CANARIES = {
    **{f"key {number}": key for number, key in enumerate((*KEYS, PASTED), 1)},
    "the shared password": SHARED,
    "Bob's password": BOB,
    "Alice's password": ALICE,
    "a wrong password": GUESS,
    "a key of somebody else's": STRANGE_KEY,
    "the admin's password": ADMIN,
    "SECRET_KEY": SECRET_KEY,
    "a prompt": PROMPT,
    "a system prompt": SYSTEM,
    "a tool's argument": TOOL,
    "an answer": ANSWER,
    "a thought": THOUGHT,
    "a thought signature": SIGNATURE,
    "a password in an address": URL_PASSWORD,
    "a picture": PICTURE,
}


def disguises(canary: str) -> Iterator[bytes]:
    """Yield a canary as it is and as it may hide: quoted, escaped, in hex, in base64 at any offset."""
    raw = canary.encode()
    yield raw
    yield from (quote(canary).encode(), html.escape(canary).encode())
    yield from (json.dumps(canary)[1:-1].encode(), raw.hex().encode())
    for offset in range(3):
        # Without the letters that depend on what stands before and after.
        yield base64.b64encode(b"\0" * offset + raw)[4:-4]


def found(text: bytes) -> set[str]:
    """Return the names of the canaries in ``text``."""
    return {name for name, canary in CANARIES.items() if any(disguise in text for disguise in disguises(canary))}
