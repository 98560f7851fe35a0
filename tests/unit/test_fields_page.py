"""The page about the fields of requests says what the parsers and the model facts say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsBase
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from proxy.openapi_schemas import SCHEMAS
from proxy.translation import anthropic_request, chat, responses_request
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build
from tests.unit.test_documents import text_of

HI = [{"role": "user", "content": "Hi"}]
# What the SDK of each dialect knows; the parser's own fields stand in the description.
DIALECTS: dict[str, tuple[str, Any]] = {
    "/v1/chat/completions": ("ChatRequest", CompletionCreateParamsBase),
    "/v1/responses": ("ResponsesRequest", ResponseCreateParamsBase),
    "/v1/messages": ("MessagesRequest", MessageCreateParamsBase),
}
REFUSED: dict[str, Any] = {
    "previous_response_id": "resp_1",
    "conversation": "conv_1",
    "prompt": {"id": "x"},
    "thread": {},
    "background": True,
    "mcp_servers": [{}],
}


def parts() -> list[str]:
    """Return the parts of the page, in its order: introduction, passed over, refused, for some models, fitted, own."""
    return re.split(r"^## ", text_of("docs/fields.md"), flags=re.MULTILINE)


def first_cells(text: str) -> list[str]:
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]


def names_in(text: str) -> set[str]:
    return {name for cell in first_cells(text) for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("path", DIALECTS)
def test_the_page_names_each_field_of_the_sdk_that_is_passed_over_and_no_other(path: str) -> None:
    shape, known = DIALECTS[path]
    table = parts()[1].split(f"In `{path}`:")[1].split("\nIn `")[0]

    assert names_in(table) == known.__annotations__.keys() - SCHEMAS[shape]["properties"].keys() - REFUSED.keys()


@pytest.mark.parametrize("path", DIALECTS)
def test_what_is_passed_over_changes_nothing(path: str) -> None:
    parse = {"/v1/chat/completions": chat.parse, "/v1/responses": responses_request.parse}
    table = parts()[1].split(f"In `{path}`:")[1].split("\nIn `")[0]
    least = {"model": "gemini-2.5-pro", "messages": HI, "max_tokens": 9, "input": "Hi"}
    read = parse.get(path, anthropic_request.parse)

    for name in names_in(table):
        for value in ("x", {"x": 1}, ["x"], 7):
            assert read(least | {name: value}) == read(least)


@pytest.mark.parametrize(("name", "value"), REFUSED.items())
def test_what_is_said_to_be_refused_is(name: str, value: Any) -> None:
    assert name in names_in(parts()[2])
    least = {"model": "gemini-2.5-pro", "messages": HI, "max_tokens": 9, "input": "Hi"}
    with pytest.raises(Invalid) as caught:
        (anthropic_request if name in ("thread", "mcp_servers") else responses_request).parse(least | {name: value})
    assert caught.value.param == name


def rows() -> list[Any]:
    found = []
    for line in parts()[3].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("`"):
            found.append(pytest.param(*cells, id=cells[0]))
    return found


@pytest.mark.parametrize(("model", "sampling", "penalties", "logprobs"), rows())
def test_each_model_gets_the_fields_that_the_page_says(
    model: str, sampling: str, penalties: str, logprobs: str
) -> None:
    name = model.split("`")[1]
    wishes = {"temperature": 1, "top_p": 0.5, "top_k": 3, "logprobs": True, "top_logprobs": 2}
    wishes |= {"frequency_penalty": 1, "presence_penalty": 2}
    sent = build(chat.parse({"model": name, "messages": HI, **wishes}), resolve(name), Options())["generationConfig"]

    assert {"temperature", "topP", "topK"} <= sent.keys() if sampling == "✓" else "temperature" not in sent
    assert {"responseLogprobs", "logprobs"} <= sent.keys() if logprobs == "✓" else "responseLogprobs" not in sent
    if penalties == "✓":
        assert (sent["frequencyPenalty"], sent["presencePenalty"]) == (1, 1.99)
    else:
        assert "frequencyPenalty" not in sent


def test_every_field_that_is_said_to_be_fitted_or_google_s_is_read() -> None:
    read = {name for shape, _known in DIALECTS.values() for name in SCHEMAS[shape]["properties"]}
    of_parts = {"name", "strict", "detail", "format"}

    assert names_in(parts()[4]) - of_parts <= read
    google = SCHEMAS["ChatRequest"]["properties"]["google"]["anyOf"][1]["properties"]
    assert google.keys() <= set(re.findall(r"`([^`]+)`", parts()[5]))
