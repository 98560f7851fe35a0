"""Chats -> bodies: messages, names, prefill, random string, search, and parameters."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.translation.chat import parse
from proxy.translation.contents import CONTINUE
from proxy.translation.invalid import Invalid
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build

PRO, FLASH_2_0, NEWEST, GEMMA = "gemini-2.5-pro", "gemini-2.0-flash", "gemini-4-neon", "gemma-3-27b-it"
SYSTEM = {"role": "system", "content": "Be kind."}
HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello"}


def body(*messages: dict[str, Any], model: str = PRO, options: Options | None = None, **fields: Any) -> dict[str, Any]:
    chat = parse({"model": model, "messages": list(messages) or [HI], **fields})
    return build(chat, resolve(model), options or Options())


def config(model: str = PRO, options: Options | None = None, **fields: Any) -> dict[str, Any]:
    return body(model=model, options=options, **fields).get("generationConfig", {})


def turns(sent: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(content["role"], [part["text"] for part in content["parts"]]) for content in sent["contents"]]


def instruction(sent: dict[str, Any]) -> list[str] | None:
    return [part["text"] for part in sent["systemInstruction"]["parts"]] if "systemInstruction" in sent else None


def test_the_body_of_sillytaverns_default_request() -> None:
    sent = body(
        {"role": "system", "content": "Write the next reply."},
        {"role": "system", "content": "Description."},
        {"role": "system", "content": "[Start a new Chat]"},
        {"role": "assistant", "content": "*You wake with a start.*"},
        {"role": "user", "content": "Hi there"},
        options=Options(random_string="aB3xY", output_token_limit=65_536),
        temperature=1,
        max_tokens=300,
        stream=True,
        presence_penalty=0,
        frequency_penalty=0,
        top_p=1,
    )

    assert sent == {
        "systemInstruction": {
            "parts": [{"text": "Write the next reply."}, {"text": "Description."}, {"text": "[Start a new Chat]"}]
        },
        "contents": [
            {"role": "model", "parts": [{"text": "*You wake with a start.*"}]},
            {"role": "user", "parts": [{"text": "aB3xY"}, {"text": "Hi there"}]},
        ],
        "safetySettings": [
            {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"},
            {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "OFF"},
            {"category": "HARM_CATEGORY_SEXUALLY_EXPLICIT", "threshold": "OFF"},
            {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "threshold": "OFF"},
        ],
        "generationConfig": {
            "temperature": 1,
            "topP": 1,
            "maxOutputTokens": 300 + 32_768,
            "thinkingConfig": {"includeThoughts": True},
        },
    }


def test_leading_system_messages_become_the_system_instruction() -> None:
    sent = body(SYSTEM, {"role": "developer", "content": "Be brief."}, HI)

    assert instruction(sent) == ["Be kind.", "Be brief."]
    assert turns(sent) == [("user", ["Hi"])]


def test_later_system_messages_are_user_turns_in_their_place() -> None:
    sent = body(
        SYSTEM, HI, HELLO, {"role": "system", "content": "Note."}, HI, HELLO, {"role": "system", "content": "Go on."}
    )

    assert instruction(sent) == ["Be kind."]
    assert turns(sent) == [
        ("user", ["Hi"]),
        ("model", ["Hello"]),
        ("user", ["Note.", "Hi"]),
        ("model", ["Hello"]),
        ("user", ["Go on."]),
    ]


@pytest.mark.parametrize("model", [GEMMA, "gemma-4-31b-it", "gemini-2.5-flash-image"])
def test_models_without_a_system_instruction_read_it_as_user_text(model: str) -> None:
    sent = body(SYSTEM, HI, model=model)

    assert instruction(sent) is None
    assert turns(sent) == [("user", ["Be kind.", "Hi"])]


def test_a_chat_of_system_messages_alone_is_asked_as_the_user() -> None:
    sent = body(SYSTEM, {"role": "user", "content": ""})

    assert instruction(sent) is None
    assert turns(sent) == [("user", ["Be kind."])]


def test_an_image_in_a_system_message_stays_in_a_user_turn() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

    sent = body(SYSTEM, {"role": "system", "content": [picture]}, HI)

    assert instruction(sent) == ["Be kind."]
    assert sent["contents"][0]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": "Hi"}]


def test_neighbours_of_one_role_are_joined_with_parts_of_their_own() -> None:
    sent = body(HI, {"role": "user", "content": "there"}, HELLO, {"role": "assistant", "content": "you"}, HI)

    assert turns(sent) == [("user", ["Hi", "there"]), ("model", ["Hello", "you"]), ("user", ["Hi"])]


def test_empty_contents_are_dropped_and_their_neighbours_joined() -> None:
    sent = body(
        HI, {"role": "assistant", "content": ""}, {"role": "user", "content": None}, {"role": "user", "content": "?"}
    )

    assert turns(sent) == [("user", ["Hi", "?"])]


def test_a_chat_of_nothing_says_a_space() -> None:
    assert turns(body({"role": "user", "content": ""}, {"role": "assistant"})) == [("user", [" "])]


def test_a_chat_may_begin_with_the_assistant() -> None:
    assert turns(body(SYSTEM, HELLO, HI)) == [("model", ["Hello"]), ("user", ["Hi"])]


@pytest.mark.parametrize(
    "model", [FLASH_2_0, PRO, "gemini-3-pro-preview", "gemini-3.1-pro-preview", "gemini-3.5-flash"]
)
def test_a_begun_answer_is_left_last_where_the_model_continues_it(model: str) -> None:
    assert turns(body(HI, HELLO, model=model)) == [("user", ["Hi"]), ("model", ["Hello"])]


@pytest.mark.parametrize(
    "model", ["gemini-3.6-flash", "gemini-3.8-flash", "gemini-3.5-flash-lite", NEWEST, "gemini-flash-latest"]
)
def test_a_begun_answer_is_asked_for_where_the_model_refuses_it(model: str) -> None:
    assert turns(body(HI, HELLO, model=model)) == [("user", ["Hi"]), ("model", ["Hello"]), ("user", [CONTINUE])]


@pytest.mark.parametrize("model", [PRO, NEWEST])
def test_an_answer_alone_is_asked_for(model: str) -> None:
    assert turns(body(SYSTEM, HELLO, model=model)) == [("model", ["Hello"]), ("user", [CONTINUE])]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "user", "name": "Tester", "content": "Go on"}, "Tester: Go on"),
        ({"role": "user", "name": "Tester", "content": "Tester: Go on"}, "Tester: Go on"),
        ({"role": "user", "name": "example_user", "content": "Q"}, "Q"),
        ({"role": "user", "name": "example_assistant", "content": "A"}, "A"),
        ({"role": "user", "name": "", "content": "Hi"}, "Hi"),
        ({"role": "system", "name": "Anyone", "content": "Rule"}, "Rule"),
    ],
)
def test_names_are_said_in_the_text(message: dict[str, Any], text: str) -> None:
    assert turns(body(HELLO, message))[-1] == ("user", [text])


def test_a_name_is_said_once_before_the_first_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    texts = [{"type": "text", "text": "Look"}, {"type": "text", "text": "here"}]

    sent = body({"role": "user", "name": "Tester", "content": [picture, *texts]})

    assert sent["contents"][0]["parts"][1:] == [{"text": "Tester: Look"}, {"text": "here"}]


def test_media_and_links_become_parts() -> None:
    video = "https://youtu.be/abc"
    content = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "video_url", "video_url": {"url": video}},
        {"type": "file", "file": {"file_id": "files/x", "format": "application/pdf"}},
    ]
    file = {"mimeType": "application/pdf", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}

    on_2_5 = body({"role": "user", "content": content})["contents"][0]["parts"]
    on_3 = body({"role": "user", "content": content}, model="gemini-3-flash-preview")["contents"][0]["parts"]

    assert on_2_5 == [picture, {"fileData": {"fileUri": video}}, {"fileData": file}]
    assert on_3[0] == picture | {"mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}}
    assert on_3[1:] == on_2_5[1:]


def test_the_random_string_is_a_part_in_front_of_the_last_user_turn() -> None:
    sent = body(HI, HELLO, HI, {"role": "user", "content": "there"}, HELLO, options=Options(random_string="x1Y2z"))

    assert turns(sent) == [
        ("user", ["Hi"]),
        ("model", ["Hello"]),
        ("user", ["x1Y2z", "Hi", "there"]),
        ("model", ["Hello"]),
    ]


def test_the_random_string_is_never_sent_with_tools() -> None:
    sent = body(HI, model="gemini-2.5-pro-search", options=Options(random_string="x1Y2z", search_prompt="(search)"))

    assert sent["tools"] == [{"googleSearch": {}}]
    assert turns(sent) == [("user", ["Hi", "(search)"])]


@pytest.mark.parametrize(("model", "fields"), [("gemini-2.5-pro-search", {}), (PRO, {"web_search_options": {}})])
def test_search_is_a_tool_and_a_prompt(model: str, fields: dict[str, Any]) -> None:
    sent = body(HI, HELLO, model=model, options=Options(search_prompt="(search)"), **fields)

    assert sent["tools"] == [{"googleSearch": {}}]
    assert turns(sent) == [("user", ["Hi", "(search)"]), ("model", ["Hello"])]


def test_without_search_there_is_neither_tool_nor_prompt() -> None:
    sent = body(HI, options=Options(search_prompt="(search)"))

    assert "tools" not in sent
    assert turns(sent) == [("user", ["Hi"])]


@pytest.mark.parametrize(
    ("model", "fields", "param"),
    [
        ("gemma-3-27b-it-search", {}, "model"),
        ("gemini-2.0-flash-lite-search", {}, "model"),
        ("gemini-2.5-flash-image-search", {}, "model"),
        (GEMMA, {"web_search_options": {}}, "web_search_options"),
        ("gemini-2.5-pro-search", {"cached_content": "cachedContents/a"}, "model"),
        ("gemini-embedding-001", {}, "model"),
        ("imagen-4.0-generate-001", {}, "model"),
        ("veo-3.1-generate-preview", {}, "model"),
    ],
)
def test_what_a_model_can_not_do_is_refused(model: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as caught:
        body(model=model, **fields)

    assert caught.value.param == param


def test_cached_content_stands_without_a_system_instruction() -> None:
    sent = body(SYSTEM, HI, cached_content="cachedContents/a")

    assert sent["cachedContent"] == "cachedContents/a"
    assert instruction(sent) is None
    assert turns(sent) == [("user", ["Be kind.", "Hi"])]


def test_safety_settings_are_the_clients_own_where_it_gave_some() -> None:
    own = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}]

    assert body(safety_settings=own)["safetySettings"] == own
    assert body(safety_settings=[])["safetySettings"] == []
    assert {setting["threshold"] for setting in body(model="gemini-1.5-pro")["safetySettings"]} == {"BLOCK_NONE"}
    assert {setting["threshold"] for setting in body(model="gemini-2.5-flash-image")["safetySettings"]} == {
        "BLOCK_NONE"
    }


SAMPLING = {"temperature": 0.7, "top_p": 0.9, "top_k": 40}


@pytest.mark.parametrize("model", [FLASH_2_0, PRO, "gemini-3-pro-preview", "gemini-3.5-flash", GEMMA])
def test_sampling_is_sent_where_it_counts(model: str) -> None:
    sent = config(model, **SAMPLING)

    assert (sent["temperature"], sent["topP"], sent["topK"]) == (0.7, 0.9, 40)


@pytest.mark.parametrize("model", ["gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.7-flash", NEWEST])
def test_sampling_is_dropped_where_it_is_ignored(model: str) -> None:
    assert not {"temperature", "topP", "topK"} & set(config(model, **SAMPLING))


def test_penalties_go_to_the_models_that_take_them() -> None:
    asked = {"frequency_penalty": 2, "presence_penalty": -0.5}

    sent = config(FLASH_2_0, **asked)

    assert (sent["frequencyPenalty"], sent["presencePenalty"]) == (1.99, -0.5)
    assert not {"frequencyPenalty", "presencePenalty"} & set(config(PRO, **asked))
    assert not {"frequencyPenalty", "presencePenalty"} & set(config(FLASH_2_0, frequency_penalty=0, presence_penalty=0))


def test_log_probabilities_go_to_the_models_that_take_them() -> None:
    asked = {"logprobs": True, "top_logprobs": 5}

    assert config(FLASH_2_0, **asked) == {"responseLogprobs": True, "logprobs": 5}
    assert config(FLASH_2_0, logprobs=True) == {"responseLogprobs": True}
    assert config(FLASH_2_0, top_logprobs=5) == {}
    assert not {"responseLogprobs", "logprobs"} & set(config(PRO, **asked))


@pytest.mark.parametrize(
    ("seed", "sent"), [(42, 42), (0, 0), (2**31 - 1, 2**31 - 1), (2**31, 0), (2**62 + 5, 5), (-1, 2**31 - 1)]
)
def test_seeds_are_cut_to_31_bits(seed: int, sent: int) -> None:
    assert config(seed=seed)["seed"] == sent


def test_several_choices_are_never_asked_of_one_call() -> None:
    assert "candidateCount" not in config(n=4)


def test_stops_are_sent_as_a_list() -> None:
    assert config(stop="END")["stopSequences"] == ["END"]
    assert "stopSequences" not in config(stop=[])


def test_image_models_answer_with_text_and_images() -> None:
    assert config("gemini-2.5-flash-image", reasoning_effort="high") == {"responseModalities": ["TEXT", "IMAGE"]}


def test_nothing_is_sent_that_was_not_asked_for() -> None:
    assert body(model=FLASH_2_0).keys() == {"contents", "safetySettings"}


def test_building_leaves_the_chat_as_it_is() -> None:
    chat = parse({"model": PRO, "messages": [SYSTEM, HI, HELLO, HI]})
    options = Options(random_string="abcde")

    assert build(chat, resolve(PRO), options) == build(chat, resolve(PRO), options)
