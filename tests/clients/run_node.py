"""Client libraries of Node, unchanged, against `manage.py serve`: python -m tests.clients.run_node.

It installs them once into a cache folder (HAJIMI_CACHE) and prints a line for each point.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tests.clients.signing import SigningGemini
from tests.gemini import FakeGemini, answer, reset
from tests.gemini.model import embedding
from tests.points import Points
from tests.serving import Server
from tests.sillytavern.tavern import CACHE

HERE = Path(__file__).parent / "node"
PACKAGES = HERE / "package.json"
# Another list of packages is another folder.
HOME = CACHE / f"node-clients-{hashlib.sha256(PACKAGES.read_bytes()).hexdigest()[:12]}"
POINT_SECONDS = 60
CITIES = ({"city": "Oslo"}, {"city": "Rome"})
CALLS = tuple(("weather", args) for args in CITIES)
RESULTS = [{"sky": "Rain in Oslo."}, {"sky": "Rain in Rome."}]
SPOKEN = "one two three four"

Run = Callable[[str], Any]


def missing() -> str:
    """Say what this machine lacks for the run, or ""."""
    return next((f"{name} is not installed" for name in ("node", "npm") if shutil.which(name) is None), "")


def install() -> None:
    """Install the packages unless they are there; raises CalledProcessError when npm fails."""
    if (HOME / "node_modules" / ".package-lock.json").is_file():
        return
    HOME.mkdir(parents=True, exist_ok=True)
    shutil.copy(PACKAGES, HOME)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(command, cwd=HOME, check=True, stdin=subprocess.DEVNULL)


def run(folder: Path, server: Server, script: str, point: str) -> Any:
    """Run one point of a script and return what it printed. Raises RuntimeError when it failed."""
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    kept = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    ended = subprocess.run(
        ["node", f"{script}.mjs", point],
        cwd=folder,
        env={**kept, "BASE_URL": server.base_url, "PASSWORD": server.password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=POINT_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{ended.stdout[-2000:]}{ended.stderr[-4000:]}")
    return json.loads(ended.stdout)


class Stage:
    """One client on a stage: its points begin with a fake that has forgotten everything."""

    def __init__(self, name: str, points: Points, signing: SigningGemini, run: Run) -> None:
        self.name, self.points, self.signing, self.run = name, points, signing, run
        self.gemini = signing.gemini

    def point(self, says: str) -> Any:
        self.signing.clear()
        return self.points.point(f"{self.name}: {says}")

    def loops(self, names: Iterable[str]) -> None:
        """Run tool loops against a Gemini that takes its calls back with their very signatures only."""
        for name in names:
            with self.point(f"parallel calls, their results and signatures ({name})"):
                self.signing.calls(name, *CALLS)
                self.gemini.always("Take an umbrella.")
                shown = self.run(name)
                assert shown["text"] == "Take an umbrella.", shown
                assert _calls_in(shown) in ([], [*CALLS]), shown
                last = self.gemini.bodies[-1]["contents"][-1]
                assert [part["functionResponse"]["response"] for part in last["parts"]] == RESULTS, last
                assert len(self.gemini.bodies) == 2, self.gemini.bodies

    def breaks_off(self, says: str) -> None:
        """Break the upstream in the middle of a stream: the text so far, then an error."""
        with self.point("a stream that breaks off ends with an error, after the text that came"):
            self.gemini.replies(answer(SPOKEN, chunks=4, delay=0.1, fault=reset(2)))
            shown = self.run("brokenStream")
            assert shown["text"], shown
            assert SPOKEN.startswith(shown["text"]), shown
            assert says in shown.get("message", ""), shown


def _calls_in(shown: Any) -> list[tuple[str, Any]]:
    calls = shown.get("calls", [])
    functions = [call.get("function") if isinstance(call, dict) else call for call in calls]
    return [
        (each["name"], json.loads(each["arguments"])) if isinstance(each, dict) else (each[0], each[1])
        for each in functions
    ]


def openai(stage: Stage) -> None:
    """The openai package."""
    with stage.point("chat"):
        stage.gemini.replies(SPOKEN)
        shown = stage.run("chat")
        assert (shown["text"], shown["finish"]) == (SPOKEN, "stop"), shown
        assert shown["tokens"] > 0, shown
    with stage.point("stream"):
        stage.gemini.replies(answer(SPOKEN, chunks=4, delay=0.05))
        shown = stage.run("stream")
        assert "".join(shown) == SPOKEN, shown
        assert len([text for text in shown if text]) > 1, shown
    stage.loops(["tools", "toolsStreamed", "runTools", "runToolsStreamed"])
    with stage.point("parse, with a zod schema"):
        stage.gemini.replies('{"total": 42}')
        assert stage.run("parse") == {"total": 42}
        assert stage.gemini.bodies[0]["generationConfig"]["responseJsonSchema"]["required"] == ["total"]
    with stage.point("parse, a call with a zod schema"):
        stage.gemini.replies(answer("", parts=({"functionCall": {"name": "sum", "args": {"total": 42}}},)))
        assert stage.run("parseCall") == {"total": 42}
    with stage.point("embeddings"):
        _same_vectors(stage.run("embeddings"), 32)
    with stage.point("images"):
        assert stage.run("images").startswith("iVBORw0KGgo")
    with stage.point("models"):
        assert "gemini-2.5-flash" in stage.run("models")
    with stage.point("a refusal is its own error"):
        shown = stage.run("refusal")
        assert (shown["kind"], shown["status"], shown["code"], shown["param"]) == (
            "NotFoundError",
            404,
            "model_not_found",
            "model",
        )
    stage.breaks_off("broke off")


def ai_sdk(stage: Stage) -> None:
    """The ai package with @ai-sdk/openai-compatible."""
    with stage.point("chat, thoughts apart"):
        stage.gemini.replies(answer(SPOKEN, thoughts="Hm.\n\n"))
        shown = stage.run("chat")
        assert (shown["text"], shown["finish"], shown["thoughts"]) == (SPOKEN, "stop", "Hm.\n\n"), shown
        assert shown["tokens"] > 0, shown
    with stage.point("stream, thoughts apart"):
        stage.gemini.replies(answer(SPOKEN, thoughts="Hm.\n\n", chunks=4, delay=0.05))
        shown = stage.run("stream")
        assert ("".join(shown["texts"]), shown["thoughts"]) == (SPOKEN, "Hm.\n\n"), shown
        assert len(shown["texts"]) > 1, shown
        assert shown["tokens"] > 0, shown
    stage.loops(["tools", "toolsStreamed"])
    for name in ("object", "objectStreamed"):
        with stage.point(f"structured output ({name})"):
            stage.gemini.replies(answer('{"total": 42}', chunks=3))
            assert stage.run(name) == {"total": 42}
            assert "total" in stage.gemini.bodies[0]["generationConfig"]["responseJsonSchema"]["properties"]
    with stage.point("embeddings"):
        _same_vectors(stage.run("embed"), 768)
    with stage.point("images"):
        assert stage.run("image").startswith("iVBORw0KGgo")
    with stage.point("a refusal is told, and not tried again"):
        shown = stage.run("refusal")
        assert (shown["status"], shown["retryable"]) == (404, False), shown
        assert "gpt-4o" in shown["message"], shown
    stage.breaks_off("broke off")


def genai(stage: Stage) -> None:
    """The @google/genai package."""
    with stage.point("generate"):
        stage.gemini.replies(SPOKEN)
        shown = stage.run("generate")
        assert (shown["text"], shown["finish"]) == (SPOKEN, "STOP"), shown
        assert stage.gemini.bodies == [{"contents": [{"parts": [{"text": "Hi"}], "role": "user"}]}]
    with stage.point("stream"):
        stage.gemini.replies(answer(SPOKEN, thoughts="Hm.\n\n", chunks=2, delay=0.3))
        assert stage.run("stream") == [[["Hm.\n\n", True]], [["one two t", False]], [["hree four", False]]]
    with stage.point("a chat remembers"):
        assert stage.run("chat") == {"text": "You said: Two"}
        assert len(stage.gemini.bodies[-1]["contents"]) == 3
    stage.loops(["chatWithFunctions", "chatWithFunctionsStreamed", "automatic"])
    with stage.point("count"):
        assert stage.run("count") == 100
    with stage.point("embed"):
        _same_vectors(stage.run("embed"), 32)
    with stage.point("models, page by page"):
        assert "models/gemini-2.5-flash" in stage.run("models")
    for name in ("refusal", "refusedStream"):
        with stage.point(f"an error has its status ({name})"):
            shown = stage.run(name)
            assert (shown["kind"], shown["status"]) == ("ApiError", 404), shown
            assert "gemini-9" in shown["message"], shown
    stage.breaks_off("broke off")


def _same_vectors(found: list[list[float]], size: int) -> None:
    expected = [embedding({"parts": [{"text": text}]}, size) for text in ("one", "two")]
    assert [len(vector) for vector in found] == [size, size], found
    pairs = [pair for one, other in zip(found, expected, strict=True) for pair in zip(one, other, strict=True)]
    assert all(abs(one - other) < 1e-6 for one, other in pairs), found


CLIENTS = {"openai": openai, "ai_sdk": ai_sdk, "genai": genai}


def main() -> int:
    """Run every point; the exit code is 0 when all held, or when the machine lacks what it takes."""
    lacking = missing()
    if lacking:
        print(f"SKIPPED Node clients: {lacking}")
        return 0
    install()
    points = Points()
    with tempfile.TemporaryDirectory(prefix="hajimi-node-") as named, FakeGemini() as gemini:
        folder = Path(named)
        shutil.copytree(HERE, folder / "node")
        # Node looks for packages beside the script.
        (folder / "node" / "node_modules").symlink_to(HOME / "node_modules")
        server = Server(folder / "data", {"GEMINI_BASE_URL": gemini.url, "FAKE_STREAMING": False}).start()
        try:
            signing = SigningGemini(gemini)
            for name, client in CLIENTS.items():
                client(Stage(name, points, signing, partial(run, folder / "node", server, name)))
        finally:
            print(server.output[-3000:] if points.failed else "", end="")
            server.kill()
    return points.close()


if __name__ == "__main__":
    sys.exit(main())
