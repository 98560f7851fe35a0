"""What the wide canary run gives to commands and to starts: broken accounts, and every command of manage.py."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.canaries import BOB, GUESS, KEYS, PASTED, PROMPT, SECRET_KEY, SHARED, STRANGE_KEY, URL_PASSWORD
from tests.gemini import Raw
from tests.service.looking import Run, folder_bytes, revive
from tests.serving import ROOT, NotStarted, Server, environment_for

# What an account's key has signed: whoever has it gets a token.
ASSERTION = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"RS256","typ":"JWT"}', b'{"iss":"canary zqx7klpWv4u9T2"}', b"canary zqx7kmpWv4u9T2 signature")
)


def lines_of(private_key: str) -> list[str]:
    """Return the lines of a PEM key that are this key's alone."""
    return [line for line in private_key.splitlines() if "-----" not in line][1:-1]


def quoting(run: Run) -> str:
    """Return every secret that Google could say aloud."""
    return " ".join((*KEYS, SHARED, run.seen.canaries["an access token"], ASSERTION))


# Accounts that cannot be used


def broken_accounts(run: Run) -> dict[str, str]:
    """Return texts that hold a private key and are no usable account, each broken another way."""
    whole = run.gemini.vertex.account(run.gemini.url, "broken-project")
    key = whole["private_key"]
    return {
        "no project": json.dumps(whole | {"project_id": ""}),
        "of another type": json.dumps(whole | {"type": "authorized_user"}),
        "cut in the middle of its key": json.dumps(whole)[:-900],
        "a key without its end": json.dumps(whole | {"private_key": key[:-60]}),
        "a key with a letter too many": json.dumps(whole | {"private_key": key.replace("\n", "\nA", 3)}),
        "an address for its tokens that is none": json.dumps(whole | {"token_uri": f"ftp://{lines_of(key)[0]}"}),
        "a project that is none": json.dumps(whole | {"project_id": f"/{lines_of(key)[0]}/"}),
        "the key alone": key,
        "in base64, cut": base64.b64encode(json.dumps(whole).encode()).decode()[:-901],
    }


# Commands


def command(run: Run, words: tuple[str, ...], given: str = "", json_too: bool = False, **environment: str) -> None:
    """Run a command of manage.py, once more with --json if that says something else; keep all it prints."""
    for extra in ((), ("--json",)) if json_too else ((),):
        done = subprocess.run(
            [sys.executable, "manage.py", *words, *extra],
            cwd=ROOT,
            env=environment_for(run.server.data_dir, {**run.server.changes, "WORKERS": 1}) | environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        is_json = "--json" in (*words, *extra)
        run.seen.add(f"command {words[0]}{' --json' if is_json else ''}", done.stdout + done.stderr)


def give_commands(run: Run, folder: Path) -> None:
    """Every command that may be given while hajimi runs."""
    # Google quotes the keys while they are probed.
    quoted = json.dumps({"error": {"code": 400, "message": quoting(run), "status": "INVALID_ARGUMENT"}}).encode()
    run.gemini.always(Raw(400, quoted))
    command(run, ("probe_keys",), json_too=True)
    run.gemini.clear()
    command(run, ("list_keys",), json_too=True)
    revive(run)
    command(run, ("import_keys", "-"), f"{PASTED} {KEYS[0]} {GUESS} AIza-{STRANGE_KEY}\n{PASTED}", json_too=True)
    for text in [*broken_accounts(run).values()][::3]:
        command(run, ("import_keys", "-"), text)
    command(run, ("create_member", "Carol", "--json"), MEMBER_PASSWORD=f"{BOB}-carol")
    command(run, ("create_member", "Dave"), MEMBER_PASSWORD=BOB)
    command(run, ("rotate_password", "Carol"), json_too=True, MEMBER_PASSWORD=f"{BOB}-carol-2")
    command(run, ("rotate_password", "Carol"), MEMBER_PASSWORD=SHARED)
    command(run, ("set_limit", "Carol", "--requests-per-day", "5"), json_too=True)
    command(run, ("usage",), json_too=True)
    command(run, ("prune_logs", "--days", "3000"))
    command(run, ("backup",))
    settings = {
        "GEMINI_API_KEYS": f"{PASTED},{STRANGE_KEY},{KEYS[1]}",
        "PASSWORD": SHARED,
        "GOOGLE_CREDENTIALS_JSON": broken_accounts(run)["a key without its end"],
        "MAX_RETRY_NUM": GUESS,
        "PROXY": f"http://user:{URL_PASSWORD}@127.0.0.1:9",
        "FAKE_STREAMING_INTERVAL": PROMPT,
        "search": {"search_mode": GUESS, "search_prompt": PROMPT},
    }
    for proxy, name, text in (
        ("hajimi", "settings.json", json.dumps(settings)),
        ("hajimi", "cut.json", json.dumps(settings)[:-30]),
        ("gemini-balance", "old.env", f"API_KEYS={KEYS[2]}\nAUTH_TOKEN={GUESS}\nMAX_RETRIES={GUESS}\n"),
        ("gemini-balance", "odd.env", f"API_KEYS={KEYS[2]}\n{GUESS}\n"),
    ):
        (folder / name).write_text(text, encoding="utf-8")
        command(run, ("import_from", proxy, str(folder / name), "--dry-run"), json_too=name == "settings.json")


def give_commands_at_rest(run: Run, folder: Path) -> None:
    """Those for which hajimi is stopped; and two that find what they cannot use."""
    run.server.changes["SECRET_KEY_FALLBACKS"] = SECRET_KEY
    run.server.changes["SECRET_KEY"] = f"{SECRET_KEY}-renewed"
    command(run, ("rotate_encryption",))
    command(run, ("copy_database", "--to", f"sqlite:///{folder}/copy.sqlite3"))
    command(run, ("copy_database", "--to", f"postgres://hajimi:{URL_PASSWORD}@127.0.0.1:9/x?connect_timeout=1"))
    command(run, ("restore",))
    run.seen.add("the copy", folder_bytes(folder / "data") + (folder / "copy.sqlite3").read_bytes())
    run.server.changes["SECRET_KEY"] = "another-secret-key-that-opens-nothing"
    run.server.changes["SECRET_KEY_FALLBACKS"] = ""
    for words in (("list_keys",), ("rotate_encryption",)):
        command(run, words)


def start_badly(run: Run, folder: Path) -> None:
    """Accounts in the environment that stop the start: JSON lines or not, they are not shown."""

    # One after the other they would take half a minute.
    def start(name: str, text: str) -> None:
        changes = {**run.server.changes, "WORKERS": 1, "GOOGLE_CREDENTIALS_JSON": text}
        server = Server(folder / f"bad {name}", changes)
        with contextlib.suppress(NotStarted):
            server.start(seconds=20)
        server.kill()
        run.seen.add(f"output at bad accounts: {name}", server.output)

    broken = dict([*broken_accounts(run).items()][::2])
    with ThreadPoolExecutor(2) as two:
        list(two.map(start, broken, broken.values()))
