"""Whatever Gemini sends, the client gets a valid stream and the same answer as a whole document."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.rules import Outcome
from proxy.translation.openai import ChunkEncoder, fold
from proxy.translation.reply import Delta, TextDelta, Translator

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
texts = st.sampled_from(["", " ", "\n", "Hello", " wörld", "\u200b", "😀", "\u2028", '"quoted"']) | st.text(max_size=10)
calls = st.fixed_dictionaries({"name": texts}, optional={"args": anything, "id": texts})
parts = st.fixed_dictionaries(
    {},
    optional={
        "text": texts | anything,
        "thought": st.booleans() | anything,
        "thoughtSignature": texts,
        "inlineData": st.fixed_dictionaries({}, optional={"mimeType": texts, "data": texts}) | anything,
        "functionCall": calls | anything,
        "executableCode": st.fixed_dictionaries({"code": texts}) | anything,
        "codeExecutionResult": st.fixed_dictionaries({"output": texts}) | anything,
    },
)
reasons = (
    st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER", "NEW", "FINISH_REASON_UNSPECIFIED", 1, 3]) | anything
)
logprobs = st.fixed_dictionaries({"chosenCandidates": st.lists(st.fixed_dictionaries({"token": texts}), max_size=2)})
candidates = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | anything,
        "content": st.fixed_dictionaries({"parts": st.lists(parts | anything, max_size=3) | anything}) | anything,
        "finishReason": reasons,
        "logprobsResult": logprobs | anything,
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

# A busy machine draws slowly; that says nothing of the code.
patient = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def batches_of(answer: list[dict[str, Any]]) -> tuple[Translator, list[list[Delta]]]:
    translator = Translator()
    batches = [translator.feed(event) for event in answer]
    return translator, [*batches, translator.finish()]


def chunks_of(translator: Translator, batches: list[list[Delta]]) -> list[dict[str, Any]]:
    encoder = ChunkEncoder("chatcmpl-1", "gemini", 1, include_usage=True)
    data = b"".join(encoder.encode(batch) for batch in batches) + encoder.end(translator.usage)
    *frames, done, nothing = data.split(b"\n\n")
    assert (done, nothing) == (b"data: [DONE]", b"")
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames]


@patient
@given(answers)
def test_any_answer_is_a_valid_stream(answer: list[dict[str, Any]]):
    translator, batches = batches_of(answer)
    *chunks, last = chunks_of(translator, batches)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]

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
@given(answers)
def test_the_chunks_of_any_answer_add_up_to_its_document(answer: list[dict[str, Any]]):
    translator, batches = batches_of(answer)
    choices = [choice for chunk in chunks_of(translator, batches) for choice in chunk["choices"]]
    document = fold([delta for batch in batches for delta in batch], translator.usage, "chatcmpl-1", "gemini", 1)

    for folded in orjson.loads(orjson.dumps(document))["choices"]:
        mine = [choice for choice in choices if choice["index"] == folded["index"]]
        message = folded["message"]
        assert "".join(each["delta"].get("content", "") for each in mine) == (message["content"] or "")
        thoughts = "".join(each["delta"].get("reasoning_content", "") for each in mine)
        assert thoughts == message.get("reasoning_content", "")
        calls = [call for each in mine for call in each["delta"].get("tool_calls", [])]
        assert [call["id"] for call in calls] == [call["id"] for call in message.get("tool_calls", [])]
        assert [call["index"] for call in calls] == list(range(len(calls)))
        assert mine[-1]["finish_reason"] == folded["finish_reason"]


@patient
@given(answers)
def test_an_answer_is_answered_when_and_only_when_there_is_something_to_see(answer: list[dict[str, Any]]):
    translator, batches = batches_of(answer)
    document = fold([delta for batch in batches for delta in batch], translator.usage, "chatcmpl-1", "gemini", 1)
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
