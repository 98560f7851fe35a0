"""Reading OpenAI chat requests: what is understood, what is ignored, what is refused and where."""

from __future__ import annotations

import math
from typing import Any

import pytest

from proxy.translation.chat import Chat, Message, Role, Text, parse
from proxy.translation.invalid import Invalid

HI = [{"role": "user", "content": "Hi"}]


def read(**fields: Any) -> Chat:
    return parse({"model": "gemini-2.5-pro", "messages": HI, **fields})


def refusal(**fields: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read(**fields)
    return caught.value


def test_the_smallest_request() -> None:
    assert read() == Chat(model="gemini-2.5-pro", messages=(Message(Role.USER, (Text("Hi"),)),))


def test_every_role_is_read() -> None:
    roles = ("system", "developer", "user", "assistant")

    chat = read(messages=[{"role": role, "content": role} for role in roles])

    assert [message.role for message in chat.messages] == [Role.SYSTEM, Role.SYSTEM, Role.USER, Role.ASSISTANT]


def test_contents_may_be_text_parts_null_or_absent_from_an_answer() -> None:
    chat = read(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "T"},
            {"role": "user", "content": None},
            {"role": "assistant"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "tool_calls": []},
        ]
    )

    assert chat.messages == (
        Message(Role.USER, (Text("a"), Text("b")), "T"),
        Message(Role.USER, ()),
        Message(Role.ASSISTANT, ()),
        Message(Role.ASSISTANT, (Text("no"),)),
    )


@pytest.mark.parametrize("document", [None, [], "x", 1, True, math.nan])
def test_a_request_is_an_object(document: object) -> None:
    with pytest.raises(Invalid):
        parse(document)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("Hi", "messages"),
        ({}, "messages"),
        (["Hi"], "messages[0]"),
        ([{"content": "Hi"}], "messages[0].role"),
        ([{"role": 1, "content": "Hi"}], "messages[0].role"),
        ([*HI, {"role": "wizard", "content": "Hi"}], "messages[1].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": {"type": "text", "text": "x"}}], "messages[0].content"),
        ([{"role": "user", "content": "a\ud800"}], "messages[0].content"),
        ([{"role": "user", "content": "Hi", "name": 5}], "messages[0].name"),
        ([{"role": "user", "content": ["Hi"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"text": "Hi"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "hologram"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].image_url.url"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": 7}]}], "messages[0].content[0].image_url"),
        ([{"role": "assistant", "audio": {"id": "a"}}], "messages[0].audio"),
    ],
)
def test_a_mistake_in_the_messages_is_named_by_its_place(messages: Any, param: str) -> None:
    assert refusal(messages=messages).param == param


@pytest.mark.parametrize("model", [None, "", "  ", 5, ["m"], "m" * 300, "m\udfff"])
def test_a_model_is_a_name(model: Any) -> None:
    assert refusal(model=model).param == "model"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("temperature", [0, 1, 2, 0.7, 2.0], [-0.1, 2.1, math.nan, math.inf, 10**400, True, "1", []]),
        ("top_p", [0, 1, 0.5], [-1, 1.5, math.nan, False, "0"]),
        ("frequency_penalty", [-2, 0, 2], [-2.5, 3, math.nan, True, {}]),
        ("presence_penalty", [-2, 0, 2], [-2.5, 3, math.nan, True, {}]),
        ("n", [1, 8], [0, 9, -1, 1.5, True, "1", 10**400]),
        ("max_tokens", [1, 300, 10**9, 10**400], [0, -1, 0.5, True, "300", math.inf]),
        ("seed", [0, -1, 2**63 - 1], [2**63, 1.5, True, "x", math.nan]),
        ("top_logprobs", [0, 20], [-1, 21, True, 1.5]),
        ("logprobs", [True, False], [1, "true", []]),
        ("top_k", [1, 40], [-1, 2**31, 0.5, True, "4"]),
        ("thinking_budget", [-1, 0, 8192], [-2, 2**31, True, "low"]),
        ("include_thoughts", [True, False], [0, "yes"]),
    ],
)
def test_a_parameter_keeps_its_range(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(read(**{name: value}), name) == value
    for value in bad:
        assert refusal(**{name: value}).param == name
    assert read(**{name: None}) == read()


def test_a_whole_number_may_be_written_as_a_float() -> None:
    assert read(max_tokens=300.0).max_tokens == 300


def test_max_completion_tokens_wins_over_max_tokens() -> None:
    assert read(max_completion_tokens=5, max_tokens=9).max_tokens == 5
    assert refusal(max_completion_tokens=0, max_tokens=9).param == "max_completion_tokens"


@pytest.mark.parametrize(
    ("stop", "read_as"),
    [
        (None, ()),
        ("END", ("END",)),
        ("", ()),
        (["a", "", "b"], ("a", "b")),
        (list("abcdefg"), tuple("abcde")),
        ([], ()),
    ],
)
def test_stop_keeps_the_first_five_texts(stop: Any, read_as: tuple[str, ...]) -> None:
    assert read(stop=stop).stop == read_as


@pytest.mark.parametrize(("stop", "param"), [(5, "stop"), ({}, "stop"), (["a", 5], "stop[1]")])
def test_a_stop_that_is_no_text_is_refused(stop: Any, param: str) -> None:
    assert refusal(stop=stop).param == param


def test_who_asks_for_a_stop_of_another_kind_is_told_both_that_are_understood() -> None:
    assert str(refusal(stop=5)) == "stop must be a string or a list of strings."


def test_streams_may_ask_for_usage() -> None:
    assert read(stream=True, stream_options={"include_usage": True}).include_usage
    assert not read(stream=True, stream_options=None).include_usage
    assert not read(stream_options={"include_usage": True}).include_usage
    assert refusal(stream="yes").param == "stream"
    assert refusal(stream=True, stream_options=[]).param == "stream_options"
    assert refusal(stream=True, stream_options={"include_usage": 1}).param == "stream_options.include_usage"


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_every_effort_is_known(effort: str) -> None:
    assert read(reasoning_effort=effort).reasoning_effort == effort


@pytest.mark.parametrize("effort", ["extreme", "", 5, ["low"]])
def test_an_unknown_effort_is_refused(effort: Any) -> None:
    assert refusal(reasoning_effort=effort).param == "reasoning_effort"


CONFIG = {"thinking_budget": 512, "thinking_level": "LOW", "include_thoughts": False}
CAMEL = {"thinkingBudget": 512, "thinkingLevel": "low", "includeThoughts": False}


@pytest.mark.parametrize(
    "fields",
    [
        CONFIG,
        CAMEL,
        {"thinking_config": CONFIG},
        {"thinkingConfig": CAMEL},
        {"google": {"thinking_config": CONFIG}},
        {"extra_body": {"google": {"thinking_config": CONFIG}}},
        {"extra_body": {"google": {"thinkingConfig": CAMEL}}},
        {"extra_body": {"thinking_config": CONFIG}},
        {"extra_body": {"google": CONFIG}, "thinking_budget": 99, "google": None},
    ],
)
def test_thinking_is_found_wherever_a_client_puts_it(fields: dict[str, Any]) -> None:
    chat = read(**fields)

    assert (chat.thinking_budget, chat.thinking_level, chat.include_thoughts) == (512, "low", False)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"extra_body": []}, "extra_body"),
        ({"extra_body": {"google": "x"}}, "extra_body.google"),
        ({"google": 5}, "google"),
        ({"thinking_config": 5}, "thinking_config"),
        ({"thinking_config": {"thinking_level": "wild"}}, "thinking_config.thinking_level"),
        (
            {"extra_body": {"google": {"thinkingConfig": {"thinkingBudget": "x"}}}},
            "extra_body.google.thinkingConfig.thinkingBudget",
        ),
        ({"safety_settings": {}}, "safety_settings"),
        ({"safety_settings": ["x"]}, "safety_settings[0]"),
        ({"safetySettings": [{"category": 1}]}, "safetySettings[0].category"),
        ({"safety_settings": [{"category": "C"}]}, "safety_settings[0].threshold"),
        ({"cached_content": 5}, "cached_content"),
        ({"cached_content": "elsewhere/1"}, "cached_content"),
        ({"web_search_options": "yes"}, "web_search_options"),
    ],
)
def test_a_mistake_in_googles_own_fields_is_named_by_its_place(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


def test_safety_settings_and_caches_are_taken() -> None:
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE", "method": "x"}]

    chat = read(safety_settings=settings, extra_body={"google": {"cached_content": "cachedContents/abc"}})

    assert chat.safety_settings == ({"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},)
    assert chat.cached_content == "cachedContents/abc"
    assert read(safety_settings=[]).safety_settings == ()


@pytest.mark.parametrize(
    ("value", "searches"), [(None, False), ({}, True), ({"a": 1}, True), (True, True), (False, False)]
)
def test_web_search_is_turned_on_by_its_options(value: Any, searches: bool) -> None:
    assert read(web_search_options=value).web_search is searches


def test_no_limit_on_top_k_is_none() -> None:
    assert read(top_k=0).top_k is None


def test_fields_without_meaning_are_ignored() -> None:
    ignored = {
        "user": 5,
        "metadata": {"a": "b"},
        "store": True,
        "logit_bias": {"50256": -100},
        "prediction": {"type": "content"},
        "verbosity": "low",
        "service_tier": "auto",
        "tools": [],
        "tool_choice": "auto",
        "functions": None,
        "function_call": "none",
        "response_format": {"type": "text"},
        "frobnicate": {"deep": [[[]]]},
    }

    assert read(**ignored) == read()
    assert read(tool_choice="none") == read()


def test_a_refusal_is_one_plain_sentence() -> None:
    error = refusal(messages=[{"role": "wiz\n\ud800" + "ard" * 99, "content": ""}])

    assert error.param == "messages[0].role"
    assert "\n" not in str(refusal(reasoning_effort="a\nb"))
    assert str(refusal(temperature=9)) == "temperature must be between 0 and 2."
    assert str(refusal(stop=[5])) == "stop[0] must be a string."
    assert len(str(refusal(reasoning_effort="x" * 9999))) < 200


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("![x](data:image/png;base64,AAAA)", ""),
        (
            "Hear: [audio](data:audio/wav;base64,AAAA) and [audio](data:text/plain,x)",
            "Hear:  and [audio](data:text/plain,x)",
        ),
        ("[a] ![image](data:image/png;base64,AAAA)]", "[a] ]"),
        ("a ![x](data:image/png;base64,AAAA) b ![y](data:image/png;base64,BB) c", "a  b  c"),
        ("![x](https://example.com/a.png)", "![x](https://example.com/a.png)"),
        ("[x](data:text/plain,a)", "[x](data:text/plain,a)"),
        (
            "![x](http://e.com/) and [y](data:image/png;base64,A)",
            "![x](http://e.com/) and [y](data:image/png;base64,A)",
        ),
        ("![x](data:image/png;base64,AAAA", "![x](data:image/png;base64,AAAA"),
        ("](data:)![x](data:)!", "](data:)!"),
        ("plain", "plain"),
    ],
)
def test_our_own_pictures_are_taken_out_of_answers_sent_back(sent: str, kept: str) -> None:
    chat = read(messages=[{"role": "assistant", "content": sent}, {"role": "user", "content": sent}])

    assert [message.parts for message in chat.messages] == [(Text(kept),), (Text(sent),)]
