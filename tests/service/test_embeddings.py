"""Embeddings through the door: the stock SDK, batches, failing keys, and what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.gemini import error
from tests.gemini.calls import Call
from tests.gemini.model import embedding
from tests.gemini.replies import events
from tests.service.houses import House, house, keys
from tests.service.sdk import client_of

MODEL = "gemini-embedding-001"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {"MAX_ATTEMPTS": 3, "MAX_EMPTY_RESPONSES": 1, "HEADERS_HOLD_SECONDS": 1}
    folder = tmp_path_factory.mktemp("embeddings")
    with house(folder, GEMINI_API_KEYS=keys(3), BLOCKED_MODELS="embedding-001", **environment) as started:
        yield started


@pytest.fixture
def stage(running: House) -> House:
    return running.clear()


@pytest.fixture
def client(stage: House) -> Iterator[OpenAI]:
    with client_of(stage) as client:
        yield client


def batches(stage: House) -> list[Call]:
    return [call for call in stage.gemini.calls if call.method == "batchEmbedContents"]


def vector(text: str, size: int = 768) -> list[float]:
    return embedding({"parts": [{"text": text}]}, size)


def counted(stage: House) -> int:
    [row] = stage.server.rows("SELECT COALESCE(SUM(requests), 0) AS sum FROM keys_usage WHERE kind = 'member'")
    return int(row["sum"])


def test_the_sdk_gets_vectors_in_base64_by_itself_and_as_numbers_when_asked(stage: House, client: OpenAI) -> None:
    encoded = client.embeddings.create(model=MODEL, input=["one", "two"])
    numbers = client.embeddings.create(model=MODEL, input=["one", "two"], encoding_format="float")

    assert [row.embedding for row in numbers.data] == [vector("one"), vector("two")]
    for found, exact in zip(encoded.data, numbers.data, strict=True):
        assert found.embedding == pytest.approx(exact.embedding, rel=1e-6)
    assert [row.index for row in encoded.data] == [0, 1]
    assert (encoded.model, encoded.object, encoded.usage.prompt_tokens) == (MODEL, "list", 0)


def test_one_text_and_its_wishes_are_one_request_upstream(stage: House, client: OpenAI) -> None:
    extra = {"task_type": "CLUSTERING"}
    found = client.embeddings.create(model=f"models/{MODEL}", input="hello", dimensions=3, extra_body=extra)

    assert found.data[0].embedding == pytest.approx(vector("hello", 3), rel=1e-6)
    [call] = batches(stage)
    content = {"parts": [{"text": "hello"}]}
    wishes = {"outputDimensionality": 3, "taskType": "CLUSTERING"}
    assert call.body == {"requests": [{"model": f"models/{MODEL}", "content": content, **wishes}]}


def test_many_texts_are_one_request_of_the_member_and_keep_their_order(stage: House, client: OpenAI) -> None:
    texts = [f"text {number}" for number in range(250)]
    before = counted(stage)

    raw = client.embeddings.with_raw_response.create(model=MODEL, input=texts, dimensions=2, encoding_format="float")

    assert [row.embedding for row in raw.parse().data] == [vector(text, 2) for text in texts]
    assert [len(call.body["requests"]) for call in batches(stage)] == [100, 100, 50]
    assert raw.headers["x-hajimi-attempts"] == "3"
    assert counted(stage) == before + 1
    log = stage.log(raw.headers["x-request-id"])
    assert (log["outcome"], log["status"], log["dialect"], log["model"]) == ("answered", 200, "openai", MODEL)
    assert [row["number"] for row in stage.attempts(raw.headers["x-request-id"])] == [1, 2, 3]


def test_tokens_are_told_and_counted_where_google_counts_them(stage: House, client: OpenAI) -> None:
    usage = {"promptTokenCount": 7, "totalTokenCount": 7}
    stage.gemini.replies(events({"embeddings": [{"values": [0.5]}], "usageMetadata": usage}))

    raw = client.embeddings.with_raw_response.create(model="gemini-embedding-2", input="hello")

    assert raw.parse().usage.total_tokens == 7
    assert stage.log(raw.headers["x-request-id"])["prompt_tokens"] == 7


def test_another_key_answers_when_one_is_refused(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(error("overloaded"))

    raw = client.embeddings.with_raw_response.create(model=MODEL, input="hello")

    assert raw.headers["x-hajimi-attempts"] == "2"
    assert len({call.key for call in batches(stage)}) == 2


def test_one_batch_that_fails_fails_them_all_and_costs_the_member_nothing(stage: House, client: OpenAI) -> None:
    before = counted(stage)
    fine: Any = events({"embeddings": [{"values": [0.5]}] * 100})
    stage.gemini.replies(fine, *[error("overloaded")] * 3)

    with pytest.raises(openai.InternalServerError) as caught:
        client.embeddings.create(model=MODEL, input=["text"] * 101)

    assert caught.value.status_code == 503
    assert counted(stage) == before
    log = stage.log(caught.value.response.headers["x-request-id"])
    assert (log["outcome"], log["status"], log["attempt_count"]) == ("unavailable", 503, 4)


def test_an_answer_without_vectors_is_tried_again_and_then_told(stage: House, client: OpenAI) -> None:
    stage.gemini.replies(events({}), events({"embeddings": []}))

    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model=MODEL, input="hello")

    assert (caught.value.status_code, caught.value.code) == (502, "empty_answer")
    assert "without the embeddings, 2 times" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"input": [1, 2, 3]}, "input[0]"), ({"input": []}, "input"), ({"input": "a", "dimensions": 0}, "dimensions")],
)
def test_bad_input_is_told_with_its_place_and_goes_nowhere(
    stage: House, client: OpenAI, fields: dict[str, Any], param: str
) -> None:
    before = counted(stage)

    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL, **fields)

    assert caught.value.param == param
    assert batches(stage) == []
    assert counted(stage) == before


@pytest.mark.parametrize(
    "model", ["text-embedding-3-small", "embedding-001", "models/Embedding-001", "gemini-2.5-flash"]
)
def test_a_model_that_is_unknown_blocked_or_of_another_kind_is_refused(
    stage: House, client: OpenAI, model: str
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model=model, input="hello")

    assert caught.value.code == "model_not_found"
    assert batches(stage) == []


def test_it_is_served_without_the_version_and_refused_without_a_password(stage: House) -> None:
    document = {"model": MODEL, "input": "hello"}
    with stage.server.client() as client, stage.server.client("wrong") as stranger:
        assert client.post("/embeddings/", json=document).status_code == 200
        assert stranger.post("/v1/embeddings", json=document).status_code == 401
        assert client.get("/v1/embeddings").status_code == 405
