"""OpenAI's embeddings as Gemini is asked for them, and its vectors as OpenAI's clients read them."""

from __future__ import annotations

import struct
from base64 import b64decode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rules import Outcome
from proxy.translation.embeddings import BATCH, EmbeddingTranslator, Wish, answer, bodies, parse, vectors_of
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.usage import Usage
from tests.anything import JSON, NEAR, TEXT, objects
from tests.oracle import complaints
from tests.shared import needs_shared
from tests.wishes import names_of, recorded, wish_of

OLD, NEW = "gemini-embedding-001", "gemini-embedding-2"


def document(**fields: Any) -> dict[str, Any]:
    return {"model": OLD, "input": "hello", **fields}


def bodies_for(**fields: Any) -> list[dict[str, Any]]:
    wish = parse(document(**fields))
    return bodies(wish, resolve(wish.model))


def refusal(**fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        parse(document(**fields))
    return caught.value


def read(event: dict[str, Any], *, count: int = 1, base64: bool = False) -> tuple[EmbeddingTranslator, Any]:
    translator = EmbeddingTranslator({count}, base64=base64)
    vectors = vectors_of(translator.feed(event))
    return translator, orjson.loads(orjson.dumps(vectors))


def floats(text: str) -> list[float]:
    data = b64decode(text)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def test_one_text_becomes_one_request_of_a_batch() -> None:
    content = {"parts": [{"text": "hello"}]}
    assert bodies_for() == [{"requests": [{"model": f"models/{OLD}", "content": content}]}]


def test_dimensions_task_and_title_go_with_every_text() -> None:
    [body] = bodies_for(input=["a", "b"], dimensions=256, task_type="retrieval_document", title="Letters", user="me")

    rest = {"outputDimensionality": 256, "taskType": "RETRIEVAL_DOCUMENT", "title": "Letters"}
    assert body["requests"] == [
        {"model": f"models/{OLD}", "content": {"parts": [{"text": text}]}, **rest} for text in "ab"
    ]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"task_type": "RETRIEVAL_QUERY"}, "task: search result | query: hello"),
        ({"taskType": "fact_verification"}, "task: fact checking | query: hello"),
        ({"task_type": "RETRIEVAL_DOCUMENT"}, "title: none | text: hello"),
        ({"task_type": "RETRIEVAL_DOCUMENT", "title": "100 % sure"}, "title: 100 % sure | text: hello"),
        ({}, "hello"),
    ],
)
def test_later_models_are_told_the_task_in_words(fields: dict[str, Any], text: str) -> None:
    [body] = bodies_for(model=NEW, **fields)
    assert body["requests"] == [{"model": f"models/{NEW}", "content": {"parts": [{"text": text}]}}]


def test_many_texts_become_batches_that_google_takes_in_order() -> None:
    texts = [str(number) for number in range(2 * BATCH + 1)]

    found = bodies_for(input=texts)

    assert [len(body["requests"]) for body in found] == [BATCH, BATCH, 1]
    sent = [request["content"]["parts"][0]["text"] for body in found for request in body["requests"]]
    assert sent == texts


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", {"text": "b"}]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "\ud800"}, "input"),
        ({"model": None}, "model"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"task_type": "GUESSING"}, "task_type"),
        ({"taskType": 1}, "taskType"),
        ({"title": "Letters"}, "title"),
    ],
)
def test_a_mistake_names_its_place(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_lists_of_tokens_are_refused_in_words_that_say_why(tokens: Any) -> None:
    error = refusal(input=tokens)

    assert error.param == "input[0]"
    assert "tokens" in str(error)


@given(JSON | objects("model", "input", "dimensions", "encoding_format", "task_type", "title", of=NEAR))
def test_any_json_is_a_wish_or_a_clear_refusal(value: Any) -> None:
    wish = wish_of(lambda: parse(value))
    assert wish is None or isinstance(wish, Wish)


@needs_shared
@pytest.mark.parametrize("model", [OLD, NEW, "text-embedding-004"])
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=3),
    rest=st.fixed_dictionaries(
        {},
        optional={
            "dimensions": st.integers(1, 3072),
            "task_type": st.sampled_from(["CLUSTERING", "retrieval_document"]),
            "encoding_format": st.sampled_from(["float", "base64"]),
        },
    ),
)
def test_google_takes_every_body(model: str, texts: list[str], rest: dict[str, Any]) -> None:
    for body in bodies_for(model=model, input=texts, **rest):
        assert complaints(model, body, method="batchEmbedContents") == []
        for request in body["requests"]:
            assert complaints(model, request, method="embedContent") == []


def test_vectors_come_as_google_wrote_them() -> None:
    values = [-0.022495363, 0.004016586, 1, 0.0]
    translator, vectors = read({"embeddings": [{"values": values}]})

    assert vectors == [values]
    assert (translator.visible, translator.ended, translator.outcome()) == (True, True, Outcome.ANSWERED)


def test_base64_is_little_endian_float32() -> None:
    _translator, [vector] = read({"embeddings": [{"values": [1.0, -2.5, 0.1]}]}, base64=True)
    assert floats(vector) == pytest.approx([1.0, -2.5, 0.1])


def test_tokens_are_told_where_google_counts_them_and_0_where_it_does_not() -> None:
    counted, _ = read({"embeddings": [{"values": [1.0]}], "usageMetadata": {"promptTokenCount": 7}})
    uncounted, _ = read({"embeddings": [{"values": [1.0]}]})

    assert (counted.usage.prompt, counted.usage.total) == (7, 7)
    assert uncounted.usage == Usage()


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"embeddings": []},
        {"embeddings": None},
        {"embeddings": [{"values": [1.0]}]},
        {"embeddings": [{"values": [1.0]}, {}]},
        {"embeddings": [{"values": [1.0]}, {"values": []}]},
        {"embeddings": [{"values": [1.0]}, {"values": ["1.0"]}]},
        {"embeddings": [{"values": [1.0]}, {"values": [True]}]},
        {"embeddings": [{"values": [1.0]}, {"values": [1e300]}]},
        {"embeddings": [{"values": [1.0]}] * 3},
    ],
)
def test_an_answer_that_lacks_a_vector_is_empty(event: dict[str, Any]) -> None:
    translator, vectors = read(event, count=2, base64=True)

    assert vectors == []
    assert (translator.visible, translator.outcome()) == (False, Outcome.EMPTY)


@given(JSON | objects("embeddings", "embedding", "predictions", "usageMetadata", of=JSON), st.booleans())
def test_any_answer_is_read_without_a_fault(event: Any, base64: bool) -> None:
    translator = EmbeddingTranslator({1}, base64=base64)
    assert bool(translator.feed(event)) == translator.visible


@given(st.lists(TEXT, max_size=3))
def test_the_answer_numbers_its_vectors(vectors: list[str]) -> None:
    found = answer(vectors, Usage(prompt=3, total=3), OLD)

    assert [(row["index"], row["embedding"]) for row in found["data"]] == list(enumerate(vectors))
    assert {row["object"] for row in found["data"]} <= {"embedding"}
    assert found["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


@needs_shared
@pytest.mark.parametrize("name", names_of("batchEmbedContents", "embedContent", "predict", model="embedding"))
def test_recorded_vectors_are_read(name: str) -> None:
    event = recorded(name)
    rows = event.get("embeddings") or [event.get("embedding")]
    if "predictions" in event:
        rows = [each["embeddings"] for each in event["predictions"]]

    translator, vectors = read(event, count=len(rows))
    _translator, encoded = read(event, count=len(rows), base64=True)

    assert vectors == [row["values"] for row in rows]
    for text, row in zip(encoded, rows, strict=True):
        assert floats(text) == pytest.approx(row["values"], rel=1e-6)
    counted = event.get("usageMetadata", {}).get("promptTokenCount", 0)
    told = sum(row.get("statistics", {}).get("token_count", 0) for row in rows)
    assert translator.usage.prompt == counted + told
