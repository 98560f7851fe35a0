"""Whatever Gemini sends, the client gets a valid stream and the same answer as a whole document."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.lib.streaming._deltas import accumulate_delta
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from keys.rules import Outcome
from proxy.translation.openai import ChunkEncoder, Form, fold
from proxy.translation.reply import Delta, TextDelta, Translator

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
texts = st.sampled_from(["", " ", "\n", "Hello", " wörld", "\u200b", "😀", "\u2028", '"quoted"']) | st.text(max_size=10)
pieces = st.fixed_dictionaries(
    {"jsonPath": st.sampled_from(["$.a", "$.a.b", "$.a[1]", "$['a'][0].b", "$[0]", "$", "a"]) | texts},
    optional={"stringValue": texts, "numberValue": anything, "boolValue": anything, "nullValue": anything},
)
calls = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "args": anything,
        "id": st.sampled_from(["a", "b"]) | texts,
        "partialArgs": st.lists(pieces | anything, max_size=2) | anything,
        "willContinue": st.booleans() | anything,
    },
)
mimes = st.sampled_from(["image/png", "audio/L16;rate=24000", "audio/mpeg"]) | texts
parts = st.fixed_dictionaries(
    {},
    optional={
        "text": texts | anything,
        "thought": st.booleans() | anything,
        "thoughtSignature": texts | anything,
        "inlineData": st.fixed_dictionaries({}, optional={"mimeType": mimes, "data": texts}) | anything,
        "functionCall": calls | anything,
        "executableCode": st.fixed_dictionaries({"code": texts}) | anything,
        "codeExecutionResult": st.fixed_dictionaries({"output": texts}) | anything,
    },
)
reasons = (
    st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER", "NEW", "FINISH_REASON_UNSPECIFIED", 1, 3]) | anything
)
logprobs = st.fixed_dictionaries({"chosenCandidates": st.lists(st.fixed_dictionaries({"token": texts}), max_size=2)})
numbers = st.integers(-1, 30) | anything
pages = st.fixed_dictionaries({"web": st.fixed_dictionaries({"uri": texts}, optional={"title": texts})})
segments = st.fixed_dictionaries(
    {}, optional={"startIndex": numbers, "endIndex": numbers, "partIndex": numbers, "text": texts | anything}
)
supports = st.fixed_dictionaries({"segment": segments, "groundingChunkIndices": st.lists(numbers, max_size=3)})
grounding = st.fixed_dictionaries(
    {
        "groundingChunks": st.lists(pages | anything, max_size=3),
        "groundingSupports": st.lists(supports | anything, max_size=3),
    }
)
citations = st.fixed_dictionaries(
    {"citations": st.lists(st.fixed_dictionaries({"uri": texts, "startIndex": numbers, "endIndex": numbers}))}
)
candidates = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | anything,
        "content": st.fixed_dictionaries({"parts": st.lists(parts | anything, max_size=3) | anything}) | anything,
        "finishReason": reasons,
        "logprobsResult": logprobs | anything,
        "groundingMetadata": grounding | anything,
        "citationMetadata": citations | anything,
    },
)
events = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(candidates | anything, max_size=3) | anything,
        "promptFeedback": st.fixed_dictionaries({"blockReason": reasons}) | anything,
        "usageMetadata": st.dictionaries(st.sampled_from(["promptTokenCount", "totalTokenCount"]), anything) | anything,
        "responseId": anything,
    },
)
answers = st.lists(events, max_size=6)
forms = st.builds(
    Form,
    old_functions=st.booleans(),
    audio=st.sampled_from([None, "wav", "pcm16"]),
    list_sources=st.booleans(),
)

# A busy machine draws slowly; that says nothing of the code.
patient = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def batches_of(answer: list[dict[str, Any]], **rules: Any) -> tuple[Translator, list[list[Delta]]]:
    translator = Translator(**rules)
    batches = [translator.feed(event) for event in answer]
    return translator, [*batches, translator.finish()]


def chunks_of(translator: Translator, batches: list[list[Delta]], form: Form | None = None) -> list[dict[str, Any]]:
    encoder = ChunkEncoder("chatcmpl-1", "gemini", 1, include_usage=True, form=form)
    data = b"".join(encoder.encode(batch) for batch in batches) + encoder.end(translator.usage)
    *frames, done, nothing = data.split(b"\n\n")
    assert (done, nothing) == (b"data: [DONE]", b"")
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames]


def document_of(translator: Translator, batches: list[list[Delta]], form: Form | None = None) -> Any:
    deltas = [delta for batch in batches for delta in batch]
    return orjson.loads(orjson.dumps(fold(deltas, translator.usage, "chatcmpl-1", "gemini", 1, form)))


def summed(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """What a client of OpenAI's own makes of the chunks of one choice."""
    message: dict[Any, Any] = {}
    for choice in choices:
        message = accumulate_delta(message, choice["delta"])
    return message


@patient
@given(answers, forms)
def test_any_answer_is_a_valid_stream(answer: list[dict[str, Any]], form: Form):
    translator, batches = batches_of(answer)
    *chunks, last = chunks_of(translator, batches, form)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]

    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
    assert last["choices"] == []
    assert last["usage"] is not None
    assert len(choices) == len(chunks)
    assert choices
    for index in {choice["index"] for choice in choices}:
        first, *rest = (choice for choice in choices if choice["index"] == index)
        assert first["delta"]["role"] == "assistant"
        assert not any("role" in choice["delta"] for choice in rest)
        assert [bool(choice["finish_reason"]) for choice in [first, *rest]] == [False] * len(rest) + [True]


@patient
@given(answers, forms)
def test_the_chunks_of_any_answer_add_up_to_its_document(answer: list[dict[str, Any]], form: Form):
    translator, batches = batches_of(answer)
    choices = [choice for chunk in chunks_of(translator, batches, form) for choice in chunk["choices"]]
    document = document_of(translator, batches, form)

    ChatCompletion.model_validate(document)
    for folded in document["choices"]:
        mine = [choice for choice in choices if choice["index"] == folded["index"]]
        message, streamed = folded["message"], summed(mine)
        assert (streamed.get("content") or None) == message["content"]
        for field in ("reasoning_content", "images", "annotations", "extra_content", "function_call"):
            assert streamed.get(field) == message.get(field)
        calls = [dict(call) for call in streamed.get("tool_calls", [])]
        assert [call.pop("index") for call in calls] == list(range(len(calls)))
        assert calls == message.get("tool_calls", [])
        assert ("audio" in streamed) is ("audio" in message)
        assert mine[-1]["finish_reason"] == folded["finish_reason"]


@patient
@given(answers, st.booleans())
def test_calls_of_any_answer_can_be_called(answer: list[dict[str, Any]], parallel: bool):
    translator, batches = batches_of(answer, parallel=parallel, taken={"a"}.__contains__)

    for choice in document_of(translator, batches)["choices"]:
        calls = choice["message"].get("tool_calls", [])
        ids = [call["id"] for call in calls]
        assert len(set(ids)) == len(ids)
        assert all(0 < len(each) <= 40 and each != "a" for each in ids)
        assert all(call["function"]["name"] for call in calls)
        assert all(isinstance(orjson.loads(call["function"]["arguments"]), dict) for call in calls)
        assert parallel or len(calls) < 2


@patient
@given(answers)
def test_annotations_of_any_answer_lie_within_its_text(answer: list[dict[str, Any]]):
    translator, batches = batches_of(answer)

    for choice in document_of(translator, batches)["choices"]:
        for annotation in choice["message"].get("annotations", []):
            place = annotation["url_citation"]
            assert 0 <= place["start_index"] < place["end_index"] <= len(choice["message"]["content"])
            assert place["url"]
            assert place["title"]


@patient
@given(answers)
def test_an_answer_is_answered_when_and_only_when_there_is_something_to_see(answer: list[dict[str, Any]]):
    translator, batches = batches_of(answer)
    document = document_of(translator, batches)
    shown = [choice["message"]["content"] or choice["message"].get("tool_calls") for choice in document["choices"]]

    assert (translator.outcome() is Outcome.ANSWERED) is translator.visible is any(shown)


@patient
@given(st.lists(texts, max_size=6))
def test_no_character_of_a_text_is_lost_or_moved(spoken: list[str]):
    answer = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in spoken]
    translator, batches = batches_of(answer)
    heard = "".join(delta.text for batch in batches for delta in batch if isinstance(delta, TextDelta))

    assert heard == ("".join(spoken) if translator.visible else "")
    assert translator.visible or not "".join(spoken).replace("\u200b", "").strip()
