"""Every option of a chat, of a model's name and of the installation has its effect through the front door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from tests.gemini import MODELS, FakeGemini, Model, answer, sound
from tests.service.houses import House
from tests.service.tiny_process import until
from tests.serving import Server

CHAT = "/v1/chat/completions"
SMALL, FLASH_3 = "gemini-2.5-flash-small", "gemini-3-flash-preview"
HI = {"role": "user", "content": "Hi"}
FUNCTION = {"name": "my weather!", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
LEGAL = "my_weather_"
TOOLS = [{"type": "function", "function": FUNCTION}]
PAGE = {"web": {"uri": "https://example.org/rain", "title": "Rain"}}
FOUND = {"finishReason": "STOP", "groundingMetadata": {"groundingChunks": [PAGE]}}
SEARCH = {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["rain"]}, "id": "s1"}}
RESULT = {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {}, "id": "s1"}, "thoughtSignature": "Zm91bmQ="}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {"FAKE_STREAMING": False, "LIST_SOURCES": True, "SEARCH_PROMPT": "(Look it up.)"}
    folder: Path = tmp_path_factory.mktemp("options")
    with FakeGemini(models=(*MODELS, Model(SMALL, "Small", output_limit=4000))) as gemini:
        server = Server(folder / "data", {"GEMINI_BASE_URL": gemini.url, "RANDOM_STRING": False, **environment})
        try:
            server.start()
            with server.client() as client:
                assert until(lambda: client.get(f"/v1/models/{SMALL}").status_code == 200)
            yield House(gemini, server)
        finally:
            server.kill()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def ask(stage: House, request: pytest.FixtureRequest) -> Any:
    """Ask once, whole or streamed; the message is what its chunks add up to."""
    stage.clear()

    def asked(*replies: Any, model: str = FLASH_3, **fields: Any) -> dict[str, Any]:
        stage.gemini.replies(*replies)
        with stage.server.client() as client:
            told = client.post(
                CHAT, json={"model": model, "messages": [HI], "stream": request.param, "max_tokens": 9000} | fields
            )
        assert told.status_code == 200, told.text
        return added_up(told.text) if request.param else told.json()["choices"][0]["message"]

    return asked


def added_up(stream: str) -> dict[str, Any]:
    message: dict[object, object] = {}
    for line in stream.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                message = accumulate_delta(message, choice["delta"])
    return cast("dict[str, Any]", message)


def call(name: str = LEGAL, call_id: str | None = "c1", **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args} | ({"id": call_id} if call_id else {})}


def found(text: str) -> Any:
    """Answer with what was found on a page."""
    return answer(events=({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, **FOUND}]},))


def test_the_model_s_own_limit_of_tokens_holds(stage: House, ask: Any) -> None:
    ask("Hello", model=SMALL, reasoning_effort="none")

    assert stage.gemini.bodies[0]["generationConfig"]["maxOutputTokens"] == 4000


def test_the_search_prompt_follows_the_user_s_words(stage: House, ask: Any) -> None:
    ask("Hello", model=f"{FLASH_3}-search")

    assert [part["text"] for part in stage.gemini.bodies[0]["contents"][-1]["parts"]] == ["Hi", "(Look it up.)"]


def test_found_pages_are_listed_but_not_inside_json(stage: House, ask: Any) -> None:
    listed = ask(found("It rains."), web_search_options={})["content"]
    in_json = ask(found('{"rain":true}'), web_search_options={}, response_format={"type": "json_object"})

    assert listed == "It rains.\n\n---\n1. [Rain](https://example.org/rain)\n"
    assert in_json["content"] == '{"rain":true}'


def test_a_function_is_called_by_the_client_s_own_name(ask: Any) -> None:
    message = ask(answer("", parts=(call(city="Ulm"),)), tools=TOOLS)

    [called] = message["tool_calls"]
    assert called["function"] == {"name": FUNCTION["name"], "arguments": '{"city":"Ulm"}'}


def test_who_wants_one_call_at_a_time_gets_one(ask: Any) -> None:
    two = answer("", parts=(call(), call(call_id="c2")))

    assert len(ask(two, tools=TOOLS)["tool_calls"]) == 2
    assert len(ask(two, tools=TOOLS, parallel_tool_calls=False)["tool_calls"]) == 1


def test_old_functions_are_called_in_the_old_form(ask: Any) -> None:
    message = ask(answer("", parts=(call(city="Ulm"),)), functions=[FUNCTION])

    assert message["function_call"] == {"name": FUNCTION["name"], "arguments": '{"city":"Ulm"}'}
    assert "tool_calls" not in message


def test_an_id_that_another_call_of_the_chat_has_is_not_given_again(ask: Any) -> None:
    made = {"id": "mine", "type": "function", "function": {"name": "f"}}
    signed = {"extra_content": {"google": {"thought_signature": "Y2FsbA=="}}}
    earlier = [
        HI,
        {"role": "assistant", "tool_calls": [made | signed]},
        {"role": "tool", "tool_call_id": "mine", "content": "ok"},
    ]

    [of_the_chat] = ask(answer("", parts=(call(call_id="mine"),)), messages=earlier, tools=TOOLS)["tool_calls"]
    [first] = ask(answer("", parts=(call(call_id="twin"),)), tools=TOOLS)["tool_calls"]
    [of_another_chat] = ask(answer("", parts=(call(call_id="twin"),)), tools=TOOLS)["tool_calls"]

    assert of_the_chat["id"] != "mine"
    assert of_another_chat["id"] not in ("twin", first["id"])


@pytest.mark.parametrize(("form", "head"), [("wav", "UklGR"), ("pcm16", "")])
def test_sound_comes_in_the_form_that_was_asked_for(stage: House, ask: Any, form: str, head: str) -> None:
    message = ask(
        sound("Hi"),
        model="gemini-2.5-flash-preview-tts",
        modalities=["text", "audio"],
        audio={"voice": "Kore", "format": form},
    )

    voice = stage.gemini.bodies[0]["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]
    assert voice == {"voiceName": "Kore"}
    data = message["audio"]["data"]
    assert data.startswith(head) if head else not data.startswith("UklGR")


def test_several_answers_are_asked_for_and_counted(stage: House, ask: Any) -> None:
    ask("One", "Two", n=2)

    assert len(stage.gemini.bodies) == 2


@pytest.mark.parametrize("keeps", [True, False], ids=["kept by the client", "kept here"])
def test_what_a_search_beside_functions_left_is_sent_back_in_its_place(stage: House, ask: Any, keeps: bool) -> None:
    signed = call() | {"thoughtSignature": "Y2FsbA=="}
    offered = {"tools": TOOLS, "web_search_options": {}}
    message = ask(answer("", parts=(SEARCH, RESULT, signed)), **offered)
    extra = message["extra_content"]["google"]
    assert [one["part"] for one in extra["server_parts"]] == [SEARCH, RESULT]
    if not keeps:
        del message["extra_content"]
        # What is kept in memory alone would be gone.
        stage.server.restart()
    [called] = message["tool_calls"]
    result = {"role": "tool", "tool_call_id": called["id"], "content": "{}"}

    ask("It rains.", messages=[HI, message, result], **offered)

    _user, spoken, _result = stage.gemini.bodies[1]["contents"]
    called_part = spoken["parts"].pop()
    assert spoken["parts"] == [SEARCH, RESULT]
    assert called_part["thoughtSignature"] == "Y2FsbA=="


def test_anthropic_s_and_newer_clients_lose_nothing_of_a_search_beside_functions(stage: House) -> None:
    parts = (SEARCH, RESULT, call() | {"thoughtSignature": "Y2FsbA=="})
    asked: dict[str, Any] = {"model": FLASH_3, "max_tokens": 9000, "messages": [HI]}
    asked |= {
        "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "s"}]
    }
    stage.clear().gemini.replies(answer("", parts=parts), "It rains.", answer("", parts=parts), "It rains.")

    with stage.server.client() as client:
        [used] = [block for block in post(client, "/v1/messages", asked)["content"] if block["type"] == "tool_use"]
        told = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": used["id"], "content": "{}"}]}
        spoken = {"role": "assistant", "content": [used]}
        post(client, "/v1/messages", asked | {"messages": [HI, spoken, told]})
        wish: dict[str, Any] = {"model": FLASH_3, "input": "Hi", "tools": [{"type": "web_search"}]}
        wish["tools"].append({"type": "function", "name": "f", "parameters": {"type": "object"}})
        [item] = [each for each in post(client, "/v1/responses", wish)["output"] if each["type"] == "function_call"]
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "{}"}
        post(client, "/v1/responses", wish | {"input": [{"role": "user", "content": "Hi"}, item, output]})

    for body in stage.gemini.bodies[1::2]:
        _user, spoken, _result = body["contents"]
        assert spoken["parts"][:2] == [SEARCH, RESULT]
        assert spoken["parts"][2]["thoughtSignature"] == "Y2FsbA=="


def post(client: Any, path: str, body: dict[str, Any]) -> Any:
    told = client.post(path, json=body)
    assert told.status_code == 200, told.text
    return told.json()
