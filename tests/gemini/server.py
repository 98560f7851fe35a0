"""FakeGemini: Gemini's HTTP interface on a free port of this machine, as strict as Google, and scriptable."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

from aiohttp import web

from tests.gemini import judge
from tests.gemini.calls import Call, Quota
from tests.gemini.catalog import MODELS, Model
from tests.gemini.handlers import app
from tests.gemini.replies import Fault, Reply, Script
from tests.gemini.vertex import Vertex

START_SECONDS = 10.0


class FakeGemini:
    """A Gemini that runs in a thread of its own, so that plain and async tests use it alike.

    ``keys`` are the keys it knows (None: any but the empty one); ``strict`` refuses bodies that Google
    would refuse; ``rpm`` and ``rpd`` are simulated quotas of each key and model. ``offers`` narrows the
    models of one key. Use it as a context manager, or call ``start`` and ``stop``.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] | None = None,
        models: Iterable[Model] = MODELS,
        strict: bool = True,
        rpm: int | None = None,
        rpd: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.keys = None if keys is None else set(keys)
        self.models = tuple(models)
        self.offers: dict[str, tuple[str, ...]] = {}
        self.calls: list[Call] = []
        self.quota = Quota(rpm, rpd)
        self.vertex = Vertex()
        self.judge = judge.strictest() if strict else judge.basic
        self.url = ""
        self.in_flight = 0
        self.max_in_flight = 0
        self._script = Script()
        self._address = (host, port)
        self._lock = threading.Lock()

    # What tests say to it. Safe from any thread.

    def replies(self, *replies: Reply | Fault | str | int, key: str | None = None, model: str | None = None) -> None:
        """Queue replies for the coming requests, or for those with this key, this model."""
        with self._lock:
            self._script.queue(replies, key, model)

    def always(self, reply: Reply | Fault | str | int, *, key: str | None = None, model: str | None = None) -> None:
        """Reply so whenever nothing is queued."""
        with self._lock:
            self._script.stand(reply, key, model)

    def clear(self) -> None:
        """Forget the script and the calls."""
        with self._lock:
            self._script.clear()
            self.calls.clear()
            self.max_in_flight = self.in_flight

    def release(self) -> None:
        """Let every answer that is ``held`` go, and those to come."""
        self._loop.call_soon_threadsafe(self.gate.set)

    def hold(self) -> None:
        """Make ``held`` answers wait again."""
        self._loop.call_soon_threadsafe(self.gate.clear)

    # What tests ask it.

    @property
    def generated(self) -> list[Call]:
        """The calls that asked a model for an answer, in order."""
        with self._lock:
            return [call for call in self.calls if call.generates]

    @property
    def keys_used(self) -> list[str]:
        """The key of each of them."""
        return [call.key for call in self.generated]

    @property
    def bodies(self) -> list[Any]:
        """The body of each of them."""
        return [call.body for call in self.generated]

    @property
    def unread(self) -> int:
        """How many queued replies nobody has asked for."""
        with self._lock:
            return self._script.left

    def wait_until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until a condition holds. Raises TimeoutError when it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"still not so after {seconds:g} s: {self.calls!r:.500}")
            time.sleep(0.005)

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait as ``wait_until`` does, without holding up the event loop."""
        await asyncio.to_thread(self.wait_until, condition, seconds)

    # What the handlers need.

    def note(self, call: Call) -> None:
        """Remember a call."""
        with self._lock:
            self.calls.append(call)

    def enter(self, call: Call) -> None:
        """Count a call as being answered."""
        with self._lock:
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            call.in_flight = self.in_flight

    def leave(self) -> None:
        """Count a call as over."""
        with self._lock:
            self.in_flight -= 1

    def next_reply(self, call: Call) -> Reply:
        """Take the script's reply to a call."""
        with self._lock:
            return self._script.next(call.key, call.model)

    # Running.

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start listening; ``url`` is known afterwards. Raises RuntimeError when that fails."""
        settled = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(settled)), name="fake-gemini")
        self._thread.daemon = True
        self._thread.start()
        if not settled.wait(START_SECONDS) or not self.url:
            raise RuntimeError(f"the fake Gemini could not listen on {self._address}")
        return self

    def stop(self) -> None:
        """Stop at once; running answers are cut."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(START_SECONDS)

    async def _serve(self, settled: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self.gate, self._stopping = asyncio.Event(), asyncio.Event()
        # Cancelled handlers are how a call learns that its client has hung up.
        runner = web.AppRunner(app(self), access_log=None, handler_cancellation=True, shutdown_timeout=0.05)
        try:
            await runner.setup()
            await web.TCPSite(runner, *self._address, backlog=1024).start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            settled.set()
            await self._stopping.wait()
        finally:
            settled.set()
            await runner.cleanup()
