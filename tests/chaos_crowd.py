"""The clients of a storm (tests.chaos): they ask, listen, hang up, and note what they were told."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import httpx

from proxy import request_id
from tests.chaos_account import Told
from tests.serving import Server, chat


class Crowd:
    """Many clients that ask one question after the other, until ``count`` are asked."""

    def __init__(self, server: Server, count: int, at_once: int, seed: int) -> None:
        self.told: list[Told] = []
        self._server = server
        self._numbers = iter(range(count))
        self._count = count
        self._at_once = at_once
        self._dice = random.Random(seed)

    @property
    def progress(self) -> float:
        """How much of it is done, from 0 to 1."""
        return len(self.told) / self._count

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with self._server.async_client(timeout=60, limits=limits) as client:
            await asyncio.gather(*(self._visit(client) for _ in range(self._at_once)))

    async def _visit(self, client: httpx.AsyncClient) -> None:
        for number in self._numbers:
            told = Told(f"chaos-{number}", stream=self._dice.random() < 0.6, began=time.monotonic())
            # Nobody is there while the server starts again: not asked yet.
            while not await self._ask(client, told):
                await asyncio.sleep(0.1)
                told.began = time.monotonic()
            told.ended = time.monotonic()
            self.told.append(told)
            # As a person would, who reads that sentence.
            await asyncio.sleep({"upstream_out": 1.0, "rate_limit_exceeded": 0.2}.get(told.code, 0.0))

    async def _ask(self, client: httpx.AsyncClient, told: Told) -> bool:
        patience = self._dice.uniform(0.0, 0.6) if self._dice.random() < 0.1 else None
        try:
            async with asyncio.timeout(patience):
                await (self._streamed if told.stream else self._whole)(client, told)
        except TimeoutError:
            told.hung_up = True
        except httpx.ConnectError:
            return False
        except httpx.TransportError as error:
            told.broken = type(error).__name__
        return True

    async def _whole(self, client: httpx.AsyncClient, told: Told) -> None:
        response = await client.post("/v1/chat/completions", json=chat(told.prompt))
        _note(told, response)
        document = response.json()
        if response.status_code == 200:
            [choice] = document["choices"]
            told.text, told.finish = choice["message"]["content"], choice["finish_reason"]
            told.usage = document["usage"]
        else:
            told.code = document["error"]["code"]
        told.is_whole = True

    async def _streamed(self, client: httpx.AsyncClient, told: Told) -> None:
        body = chat(told.prompt, stream=True, stream_options={"include_usage": True})
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            _note(told, response)
            if response.status_code != 200:
                told.code = json.loads(await response.aread())["error"]["code"]
                told.is_whole = True
                return
            async for line in response.aiter_lines():
                if line == "data: [DONE]":
                    told.is_whole = True
                elif line.startswith("data: "):
                    _note_event(told, json.loads(line[6:]))


def _note(told: Told, response: httpx.Response) -> None:
    told.status = response.status_code
    told.id = request_id.parse(response.headers["x-request-id"])


def _note_event(told: Told, event: dict[str, Any]) -> None:
    if "error" in event:
        told.code = event["error"]["code"]
    for choice in event.get("choices", []):
        told.text += choice["delta"].get("content") or ""
        told.finish = choice["finish_reason"] or told.finish
    told.usage = event.get("usage") or told.usage
