"""What the other processes of this installation have to tell the dashboard: asked for over the channel layer."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from channels.layers import BaseChannelLayer

from proxy.dashboard.parts import Part

logger = logging.getLogger(__name__)

GROUP: Final = "dashboard"
# A process that has told nothing for so long has ended, or is stuck.
FRESH_SECONDS: Final = 3.5
RESTART_SECONDS: Final = 5.0
ASK_SECONDS: Final = 0.5


class Neighbours:
    """Answers other processes that are watched, and asks them while this one is. ``part`` makes our own answer."""

    def __init__(
        self, layer: BaseChannelLayer, part: Callable[[], Part], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._layer = layer
        self._part = part
        self._now = now
        self._name = secrets.token_hex(8)
        self._channel = ""
        self._heard: dict[str, tuple[float, Part]] = {}

    async def listen(self) -> None:
        """Until cancelled: answer, and hear answers."""
        while True:
            try:
                await self._listen()
            except Exception as error:  # It comes back; until then each process shows itself alone.
                logger.warning("The dashboards of other processes cannot be reached (%s)", type(error).__name__)
            await asyncio.sleep(RESTART_SECONDS)

    async def ask(self) -> None:
        """Let every other process tell its part; ``parts`` has them soon."""
        if not self._channel:
            return
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self._layer.group_send(GROUP, {"type": "ask", "by": self._name, "to": self._channel})
        except Exception as error:  # As above.
            logger.debug("Nobody could be asked (%s)", type(error).__name__)

    def parts(self) -> list[Part]:
        """Return what the others have told lately."""
        border = self._now() - FRESH_SECONDS
        self._heard = {name: heard for name, heard in self._heard.items() if heard[0] > border}
        return [part for _, part in self._heard.values()]

    async def _listen(self) -> None:
        channel = await self._layer.new_channel()
        await self._layer.group_add(GROUP, channel)
        self._channel = channel
        try:
            while True:
                await self._take(await self._layer.receive(channel))
        finally:
            self._channel = ""
            # With Redis away this would try again for half a minute, and hold up the end of the process.
            async with asyncio.timeout(ASK_SECONDS):
                await self._layer.group_discard(GROUP, channel)

    async def _take(self, message: dict[str, Any]) -> None:
        if message["by"] == self._name:
            return
        if message["type"] == "ask":
            answer = {"type": "part", "by": self._name, "part": self._part().packed()}
            await self._layer.send(message["to"], answer)
        else:
            self._heard[message["by"]] = self._now(), Part.unpacked(message["part"])
