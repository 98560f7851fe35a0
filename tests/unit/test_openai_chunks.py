"""Deltas -> OpenAI's chunks and documents."""

from __future__ import annotations

from typing import Any

import orjson
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from proxy.translation.openai import ChunkEncoder, fold, usage_document
from proxy.translation.reply import (
    Finish,
    FinishDelta,
    LogprobsDelta,
    MediaDelta,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
    Usage,
)

USAGE = Usage(prompt=10, completion=7, total=17, thoughts=4, cached=3, prompt_audio=2, completion_audio=1)
USAGE_DOCUMENT = {
    "prompt_tokens": 10,
    "completion_tokens": 7,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 2},
    "completion_tokens_details": {
        "reasoning_tokens": 4,
        "audio_tokens": 1,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
ROW = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}


def encoder(*, include_usage: bool = False) -> ChunkEncoder:
    return ChunkEncoder("chatcmpl-7", 'gemini-"x"', 1700000000, include_usage)


def documents(data: bytes) -> list[Any]:
    frames = data.decode().split("\n\n")
    assert frames.pop() == ""
    return [frame if frame == "data: [DONE]" else orjson.loads(frame.removeprefix("data: ")) for frame in frames]


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, logprobs: Any = None) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    head = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1700000000, "model": 'gemini-"x"'}
    return {**head, "choices": [choice]}


def test_the_role_comes_once_in_the_first_chunk():
    stream = encoder()
    encode = stream.encode
    data = encode([TextDelta('He said "hé"\n')]) + encode([TextDelta("b")]) + encode([FinishDelta(Finish.STOP)])

    assert documents(data + stream.end(USAGE))[:-1] == [
        chunk({"role": "assistant", "content": 'He said "hé"\n'}),
        chunk({"content": "b"}),
        chunk({}, finish="stop"),
    ]


def test_each_choice_has_its_role_and_its_own_chunks():
    stream = encoder()
    data = stream.encode([TextDelta("a", 0), TextDelta("b", 1), TextDelta("c", 0), FinishDelta(Finish.LENGTH, 1)])

    assert documents(data + stream.end(USAGE))[:-1] == [
        chunk({"role": "assistant", "content": "a"}),
        chunk({"role": "assistant", "content": "b"}, index=1),
        chunk({"content": "c"}),
        chunk({}, finish="length", index=1),
    ]


def test_neighbouring_texts_of_one_batch_share_a_chunk():
    data = encoder().encode([ThoughtDelta("a"), ThoughtDelta("b"), TextDelta("c"), TextDelta("d"), ThoughtDelta("e")])

    assert documents(data) == [
        chunk({"role": "assistant", "reasoning_content": "ab"}),
        chunk({"content": "cd"}),
        chunk({"reasoning_content": "e"}),
    ]


def test_a_finish_may_be_the_first_chunk():
    stream = encoder()
    data = stream.encode([FinishDelta(Finish.STOP)]) + stream.end(USAGE)

    assert documents(data)[:-1] == [chunk({"role": "assistant"}, finish="stop")]


def test_no_deltas_are_no_bytes():
    assert encoder().encode([]) == b""


def test_an_image_is_markdown_in_the_content():
    data = encoder().encode([MediaDelta("image/png", "AAAA"), MediaDelta("audio/wav", "BBBB")])

    first, second = documents(data)
    assert first["choices"][0]["delta"]["content"] == "![image](data:image/png;base64,AAAA)"
    assert second["choices"][0]["delta"]["content"] == "[audio](data:audio/wav;base64,BBBB)"


def test_a_tool_call_carries_its_place():
    data = encoder().encode([ToolCallDelta("call_1", "look", '{"a":1}', 0), ToolCallDelta("call_2", "go", "{}", 1)])

    function = {"name": "look", "arguments": '{"a":1}'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    first, second = documents(data)
    assert first == chunk({"role": "assistant", "tool_calls": [call]})
    assert second["choices"][0]["delta"]["tool_calls"][0]["index"] == 1


def test_logprobs_stand_in_the_choice():
    data = encoder().encode([TextDelta("a"), LogprobsDelta((ROW,))])

    assert documents(data)[1] == chunk({}, logprobs={"content": [ROW], "refusal": None})


def test_usage_comes_last_when_asked_for_and_is_null_before():
    stream = encoder(include_usage=True)
    *chunks, last, done = documents(stream.encode([TextDelta("a"), FinishDelta(Finish.STOP)]) + stream.end(USAGE))

    assert [each["usage"] for each in chunks] == [None, None]
    assert (last["choices"], last["usage"]) == ([], USAGE_DOCUMENT)
    assert done == "data: [DONE]"


def test_usage_is_not_mentioned_when_not_asked_for():
    stream = encoder()

    assert b"usage" not in stream.encode([TextDelta("a")])
    assert stream.end(USAGE) == b"data: [DONE]\n\n"


def test_an_error_is_an_event_and_the_end():
    document = {"error": {"message": "cut", "type": "server_error", "param": None, "code": "answer_cut"}}

    assert documents(encoder().error(document)) == [document, "data: [DONE]"]


def test_a_folded_answer_is_one_document():
    deltas = [
        ThoughtDelta("I th"),
        ThoughtDelta("ink"),
        TextDelta("Hel"),
        TextDelta("lo"),
        LogprobsDelta((ROW,)),
        LogprobsDelta((ROW,)),
        FinishDelta(Finish.STOP),
    ]

    assert fold(deltas, USAGE, "chatcmpl-7", "gemini", 1700000000) == {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gemini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "reasoning_content": "I think"},
                "logprobs": {"content": (ROW, ROW), "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE_DOCUMENT,
    }


def test_a_folded_answer_of_tool_calls_has_no_content():
    document = fold([ToolCallDelta("c1", "go", "{}", 0), FinishDelta(Finish.TOOL_CALLS)], USAGE, "x", "m", 1)

    message = document["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [{"id": "c1", "type": "function", "function": {"name": "go", "arguments": "{}"}}]
    assert "reasoning_content" not in message


def test_choices_are_folded_in_order():
    document = fold([TextDelta("b", 1), TextDelta("a", 0)], Usage(), "x", "m", 1)

    assert [(choice["index"], choice["message"]["content"]) for choice in document["choices"]] == [(0, "a"), (1, "b")]


def test_usage_has_openais_shape():
    assert usage_document(USAGE) == USAGE_DOCUMENT


def test_the_shapes_are_those_of_the_openai_sdk():
    deltas = [TextDelta("a"), LogprobsDelta((ROW,)), ToolCallDelta("c1", "go", "{}", 0), FinishDelta(Finish.TOOL_CALLS)]
    stream = encoder(include_usage=True)

    for document in documents(stream.encode(deltas) + stream.end(USAGE))[:-1]:
        ChatCompletionChunk.model_validate(document)
    folded = orjson.dumps(fold(deltas, USAGE, "x", "m", 1))
    assert ChatCompletion.model_validate_json(folded).choices[0].finish_reason == "tool_calls"
