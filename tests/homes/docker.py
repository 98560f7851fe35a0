"""Docker, by the documents' commands: built and run by a real engine, alone and with compose."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx

from tests.gemini import FakeGemini
from tests.homes import engine, stand_ins
from tests.homes.engine import Engine
from tests.homes.pages import COMPOSE, CONTAINER, commands
from tests.newcomer import free_port, fresh_clone
from tests.points import Points
from tests.serving import chat, events_of, text_of

KEY, PASSWORD = "AIzaSyKeyOfAHomeInAContainer-----------01", "a-password-for-this-home"
STORY = "Hello from a container."
BASE = "python:3.13-slim-bookworm"
SMALL = "docker compose -f compose.small.yaml"
USAGE = "docker run --rm --env-file .env -v hajimi:/hajimi/data hajimi python manage.py usage"


def ask(address: str, seconds: float = 60) -> httpx.Response:
    """Ask for a streamed answer, as soon as something answers."""
    deadline = time.monotonic() + seconds
    headers = {"authorization": f"Bearer {PASSWORD}"}
    url, body = f"{address}/v1/chat/completions", chat("hello", stream=True)
    while True:
        try:
            answer = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False, verify=False)
            if answer.status_code == 200 or time.monotonic() > deadline:
                return answer
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.3)


def answered(address: str) -> str:
    """Return the text of a streamed answer."""
    answer = ask(address)
    assert answer.status_code == 200, answer.text
    return text_of(events_of(answer.text))


def settings(there: Path, gemini: FakeGemini) -> None:
    lines = {"GEMINI_API_KEYS": KEY, "PASSWORD": PASSWORD, "GEMINI_BASE_URL": gemini.url}
    (there / "settings.json").write_text(f'{{"GEMINI_API_KEYS": "{KEY[:-2]}02", "MAX_RETRY_NUM": 7}}')
    (there / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))


def alone(docker: Engine, there: Path, points: Points) -> None:
    """The README's two commands."""
    build, run = commands(*CONTAINER)
    port = free_port()
    run = run.replace("7860:7860", f"127.0.0.1:{port}:7860")
    with points.point(f"docker: {build}"):
        docker.run(build, there)
        print(f"        {_megabytes(docker)}")
    for which in ("first", "second"):
        with points.point(f"docker: {run} ({which} time)"):
            process = docker.start(run, there)
            try:
                assert answered(f"http://127.0.0.1:{port}") == STORY
                [running] = docker.run("docker ps --quiet --filter ancestor=hajimi").split()
                docker.run(f"docker stop --time 30 {running}")
                assert process.wait(40) == 0, process.communicate()[0]
            finally:
                process.kill()
    with points.point("docker: both runs' requests stand in the volume"):
        usage = docker.run(f"{USAGE} --json", there)
        assert re.search(r'"requests": 2\b', usage), usage


def _megabytes(docker: Engine) -> str:
    """Return how much of the image is ours, above its base."""
    whole, base = (int(docker.run(f"docker inspect --format '{{{{.Size}}}}' {name}")) for name in ("hajimi", BASE))
    return f"{whole // 1_000_000} MB, {(whole - base) // 1_000_000} MB of it above the base image"


def healthy(docker: Engine, container: str) -> None:
    """Wait until the image's own health check has said yes."""
    for _ in range(200):
        if docker.run(f"docker inspect --format '{{{{.State.Health.Status}}}}' {container}").strip() == "healthy":
            return
        time.sleep(0.3)
    raise AssertionError(docker.run(f"docker inspect {container}"))


def small(docker: Engine, there: Path, points: Points) -> None:
    """One container, as docs/hosting.md starts it."""
    lines = [line for line in commands(*COMPOSE) if line.startswith(SMALL)]
    port = free_port()
    file = there / "compose.small.yaml"
    file.write_text(file.read_text().replace('"7860:7860"', f'"127.0.0.1:{port}:7860"'))
    for line in lines:
        with points.point(f"compose: {line}"):
            follows = line.endswith(" -f")
            printed = docker.run(f"timeout 2 {line} || true" if follows else line, there)
            if not follows:
                assert answered(f"http://127.0.0.1:{port}") == STORY
            else:
                assert "listening on" in printed, printed
    with points.point("compose: a restart keeps the volume, and answers again"):
        docker.run(f"{SMALL} restart", there)
        assert answered(f"http://127.0.0.1:{port}") == STORY
        assert re.search(r'"requests": 4\b', docker.run(f"{SMALL} exec -T hajimi python manage.py usage --json", there))
    docker.run(f"{SMALL} down --volumes", there)


def scaled(docker: Engine, there: Path, points: Points) -> None:
    """compose.yaml as it is: replicas behind Caddy, PostgreSQL and Redis, on stand-ins for the three foreign images."""
    if lacking := stand_ins.lacking():
        print(f"SKIPPED compose.yaml: {lacking}")
        return
    stand_ins.build(docker, there)
    first, more = [line for line in commands(*COMPOSE) if not line.startswith(SMALL)]
    first = first.replace("hajimi.example.org", "localhost")
    try:
        with points.point(f"compose: {first}"):
            docker.run(first, there)
            assert answered("https://localhost") == STORY
            assert len(replicas(docker)) == 2
            [caddy] = docker.run("docker ps --quiet --filter name=hajimi-caddy-1").split()
            healthy(docker, caddy)
        with points.point(f"compose: {more}"):
            docker.run(more, there)
            for replica in replicas(docker):
                healthy(docker, replica)
            assert len(replicas(docker)) == 4
        with points.point("compose: a replica that is killed takes no answer with it"):
            docker.run(f"docker kill {replicas(docker)[0]}")
            for _ in range(12):
                assert answered("https://localhost") == STORY
        with points.point("compose: the replicas count together, in PostgreSQL"):
            usage = docker.run("docker compose exec -T hajimi python manage.py usage --json", there)
            assert re.search(r'"requests": 13\b', usage), usage
        with points.point("compose: only Caddy is reached from outside"):
            ports = docker.run("docker ps --format '{{.Names}} {{.Ports}}'").splitlines()
            assert {line.split()[0] for line in ports if "0.0.0.0" in line} == {"hajimi-caddy-1"}
    finally:
        if points.failed:
            print(docker.run("docker compose logs --tail 20", there, check=False))
        docker.run("docker compose down --volumes --timeout 5", there, check=False)


def replicas(docker: Engine) -> list[str]:
    return docker.run("docker ps --quiet --filter label=com.docker.compose.service=hajimi").split()


def check(points: Points) -> None:
    """Build, run, and compose."""
    with Engine() as docker, fresh_clone() as there, FakeGemini(host=docker.gateway) as gemini:
        gemini.always(STORY)
        settings(there, gemini)
        alone(docker, there, points)
        small(docker, there, points)
        scaled(docker, there, points)


def main(points: Points) -> None:
    """Run the check, where this machine can."""
    if lacking := engine.lacking():
        print(f"SKIPPED Docker: {lacking}")
        return
    check(points)
