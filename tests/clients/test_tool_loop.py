"""A loop of parallel tool calls with the stock openai SDK: the server is restarted between the turns, and Gemini 3
takes no call without the very signature it gave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.clients.signing import SigningGemini
from tests.gemini import FakeGemini
from tests.service.houses import House
from tests.service.sdk import client_of
from tests.serving import Server

MODEL = "gemini-3-flash-preview"
Message = Any
Turn = Callable[[OpenAI, list[Message]], Message]


def tool(name: str, place: str) -> Any:
    parameters = {"type": "object", "properties": {place: {"type": "string"}}, "required": [place]}
    return {"type": "function", "function": {"name": name, "description": f"Tell {name}.", "parameters": parameters}}


ASK = {"role": "user", "content": "whole"}
TOOLS = [tool("weather", "city"), tool("timetable", "line")]


def whole(client: OpenAI, messages: list[Message]) -> Message:
    """As the SDK's guide does: the message goes back into the list as it came."""
    completion = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    return completion.choices[0].message


def copied(client: OpenAI, messages: list[Message]) -> Message:
    """As clients do that know OpenAI's fields and keep no others."""
    message = whole(client, messages)
    calls = [{"id": call.id, "type": "function", "function": call.function.to_dict()} for call in message.tool_calls]
    return {"role": "assistant", "content": message.content, "tool_calls": calls}


def helped(client: OpenAI, messages: list[Message]) -> Message:
    """As the SDK's helper for streams puts it together."""
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=TOOLS) as stream:
        return stream.get_final_completion().choices[0].message


def gathered(client: OpenAI, messages: list[Message]) -> Message:
    """As most clients gather a stream, by the calls' indices."""
    calls: dict[int, Any] = {}
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, stream=True):
        for delta in chunk.choices[0].delta.tool_calls or ():
            call = calls.setdefault(delta.index, {"id": "", "type": "function", "function": {}})
            call["id"] = delta.id or call["id"]
            for name, value in (("name", delta.function.name), ("arguments", delta.function.arguments)):
                call["function"][name] = call["function"].get(name, "") + (value or "")
    return {"role": "assistant", "content": None, "tool_calls": [calls[index] for index in sorted(calls)]}


TURNS: dict[str, Turn] = {turn.__name__: turn for turn in (whole, copied, helped, gathered)}


@pytest.fixture(params=[True, False], ids=["collecting", "passing on"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with FakeGemini() as gemini:
        server = Server(tmp_path, {"GEMINI_BASE_URL": gemini.url, "FAKE_STREAMING": request.param})
        try:
            yield House(gemini, server.start())
        finally:
            server.kill()


def take(stage: House, signing: SigningGemini, talks: dict[str, list[Message]], *calls: tuple[str, Any]) -> None:
    """Let every conversation make its calls, and answer them."""
    with client_of(stage) as client:
        for way, messages in talks.items():
            signing.calls(way, *calls)
            message = TURNS[way](client, messages)
            made = json.loads(json.dumps(message if isinstance(message, dict) else message.to_dict()))["tool_calls"]
            assert [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in made] == [*calls]
            assert all(0 < len(call["id"]) <= 40 for call in made)
            messages.append(message)
            # Results may come in any order; each names its call.
            for call in reversed(made):
                result = {"of": call["function"]["name"]}
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})


def test_a_tool_loop_outlives_restarts_with_its_very_signatures(stage: House) -> None:
    signing = SigningGemini(stage.gemini)
    talks: dict[str, list[Message]] = {way: [{"role": "user", "content": way}] for way in TURNS}

    take(stage, signing, talks, ("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"}))
    stage.server.restart()
    take(stage, signing, talks, ("timetable", {"line": "7"}), ("weather", {"city": "Oslo"}), ("weather", {"city": "X"}))
    stage.server.kill()
    stage.server.start()
    stage.gemini.always("Take the train.")
    with client_of(stage) as client:
        last = [whole(client, messages).content for messages in talks.values()]

    assert last == ["Take the train."] * len(TURNS)
    assert [call.status for call in stage.gemini.generated] == [200] * 3 * len(TURNS)
    results = [part["functionResponse"] for part in stage.gemini.bodies[-1]["contents"][-1]["parts"]]
    assert [(result["name"], result["response"]) for result in results] == [
        ("timetable", {"of": "timetable"}),
        ("weather", {"of": "weather"}),
        ("weather", {"of": "weather"}),
    ]


def test_the_judge_is_as_strict_as_it_claims(gemini: FakeGemini, serve: Callable[..., Server]) -> None:
    stage, signing = House(gemini, serve()), SigningGemini(gemini)
    signing.calls("whole", ("weather", {"city": "Oslo"}))
    with client_of(stage) as client:
        whole(client, [ASK])
    call = {"id": "call_unknown", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    unsigned = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_unknown", "content": "{}"}

    with client_of(stage) as client, pytest.raises(openai.BadRequestError, match="thought_signature"):
        whole(client, [ASK, unsigned, result])
