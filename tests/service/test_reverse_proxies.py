"""Behind nginx and Caddy as the documents say: streams pass at once, and each client keeps the own address."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.gemini import answer
from tests.service.houses import House, house
from tests.serving import KEPT, ROOT, chat


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def documented(kind: str) -> str:
    """Return the page's own lines for a proxy."""
    page = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    [lines] = re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)
    return str(lines)


def nginx(folder: Path, port: int, upstream: str) -> list[str]:
    """Write nginx's files and return the command that runs it."""
    location = documented("nginx").replace("http://127.0.0.1:7860", upstream)
    own = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid;\nerror_log {folder}/errors;\nevents {{}}\n"
        f"http {{ access_log off;\n{own}server {{ listen 127.0.0.1:{port};\n{location}\n}} }}\n"
    )
    return ["-c", f"{folder}/nginx.conf", "-g", "daemon off;", "-e", f"{folder}/errors"]


def caddy(folder: Path, port: int, upstream: str) -> list[str]:
    """Write the documents' few lines for Caddy, under a name that needs no certificate."""
    site = documented("caddyfile").replace("127.0.0.1:7860", upstream.removeprefix("http://"))
    return _caddyfile(folder, site.replace("chat.example", f"http://chat.example:{port}"))


def compose_caddy(folder: Path, port: int, upstream: str) -> list[str]:
    """Write the Caddyfile of compose.yaml: the same, only that its one replica runs here."""
    text = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    text = text.replace("hajimi 7860", upstream.removeprefix("http://").replace(":", " "))
    return _caddyfile(folder, text.replace("{$DOMAIN:localhost}", f"http://chat.example:{port}"))


def _caddyfile(folder: Path, text: str) -> list[str]:
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
    return ["run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"]


PROXIES: dict[str, tuple[str, Callable[[Path, int, str], list[str]]]] = {
    "nginx": ("nginx", nginx),
    "caddy": ("caddy", caddy),
    "caddy of compose.yaml": ("caddy", compose_caddy),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Iterator[House]:
    settings = {"TRUSTED_PROXIES": "127.0.0.1", "ALLOWED_HOSTS": "chat.example", "FAKE_STREAMING": False}
    with house(tmp_path_factory.mktemp("house"), **settings, MAX_REQUESTS_PER_DAY_PER_IP=3) as running:
        yield running


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request: pytest.FixtureRequest, here, tmp_path_factory) -> Iterator[str]:
    """Run the proxy with the documents' own lines; yield its address."""
    name, configure = PROXIES[request.param]
    # requirements-slow.txt brings one as new as the image of compose.yaml; Debian's is too old for its lines.
    places = f"{ROOT}/.venv/bin" if name == "caddy" else f"{os.environ['PATH']}:/usr/sbin"
    program = shutil.which(name, path=places)
    if program is None:
        pytest.skip(f"{name} is not installed")
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    command = [program, *configure(folder, port, here.server.base_url)]
    kept = {key: os.environ[key] for key in KEPT if key in os.environ}
    with (folder / "printed").open("w") as printed:
        process = subprocess.Popen(
            command, env={**kept, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}, stdout=printed, stderr=printed
        )
    try:
        _wait_for(port, process, folder / "printed")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], printed: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, printed.read_text()
        time.sleep(0.05)
    raise RuntimeError("it does not listen")


def headers_for(here: House, proxy: str) -> dict[str, str]:
    return {"authorization": f"Bearer {here.server.password}", "host": name_of(proxy)}


def name_of(proxy: str) -> str:
    return proxy.replace("http://127.0.0.1", "chat.example")


def test_the_first_words_pass_while_the_rest_is_still_to_come(here, proxy):
    here.clear().gemini.replies(answer("one two three four five six", delay=0.4))

    with httpx.stream(
        "POST",
        f"{proxy}/v1/chat/completions",
        json=chat(stream=True),
        headers=headers_for(here, proxy),
        timeout=30,
        trust_env=False,
    ) as response:
        lines = response.iter_lines()
        first = next(line for line in lines if '"content":"one' in line)
        still_running = here.gemini.in_flight
        rest = list(lines)

    assert first
    assert still_running == 1
    assert rest[-2:] == ["data: [DONE]", ""]


def test_pages_know_the_name_and_the_address_they_are_asked_under(here, proxy):
    page = httpx.get(proxy, headers={"host": name_of(proxy)}, trust_env=False)

    assert page.status_code == 200
    assert re.search(r"http://chat\.example(:\d+)?/v1</code>", page.text)


def test_what_a_client_writes_into_x_forwarded_for_counts_for_nothing(here, proxy):
    here.clear()

    # From an address that is no proxy of ours, as everybody's but the proxy's own is.
    with contextlib.closing(httpx.Client(transport=httpx.HTTPTransport(local_address=own_address(proxy)))) as client:

        def ask(pretended: str) -> int:
            headers = {**headers_for(here, proxy), "x-forwarded-for": pretended}
            return client.post(f"{proxy}/v1/chat/completions", json=chat(), headers=headers).status_code

        statuses = [ask(f"198.51.100.{number}") for number in range(1, 6)]

    assert statuses == [200, 200, 200, 429, 429]


def own_address(proxy: str) -> str:
    """Return an address of this machine that only this proxy's test asks from."""
    return f"127.0.{int(proxy.rpartition(':')[2]) % 200 + 1}.9"
