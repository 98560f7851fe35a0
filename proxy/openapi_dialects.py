"""The shapes of what the three chat dialects take, as their parsers read it. Pure.

None of them is closed: further fields are passed over. Null is the same as unset.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.openapi_shapes import COUNT, FLAG, MODEL, TEXT, Schema, between, choice, many, named, optional, record, whole
from proxy.translation import anthropic_request, chat
from proxy.translation.extras import INT32
from proxy.translation.families import LEVELS
from proxy.translation.messages import ROLES
from proxy.translation.modalities import MODALITIES, SOUNDS
from proxy.translation.tools import MODES, MOST_TOOLS

_ANYTHING: Final[Schema] = {"type": "object"}
_NAME: Final[Schema] = TEXT | {"pattern": r"\S"}
_URL: Final[Schema] = TEXT | {"description": "A data: URL, YouTube, or a file of Google's; https with FETCH_MEDIA."}
_EXTRA: Final = optional(
    record([], google=optional(record([], thought_signature=optional(TEXT), server_parts=optional(many(_ANYTHING)))))
)
_FIVE: Final = "Gemini takes five; more are left out."


def _part(kind: str, inner: Schema) -> Schema:
    return record(["type", kind], type=choice(kind), extra_content=_EXTRA, **{kind: inner})


_LINKED: Final = {"anyOf": [_URL, record(["url"], url=_URL, detail=optional(TEXT))]}
_PARTS: Final = (
    _part("text", TEXT),
    _part("refusal", TEXT),
    _part("image_url", _LINKED),
    _part("video_url", _LINKED),
    _part("input_audio", record(["data"], data=TEXT, format=TEXT)),
    _part("file", record([], file_data=optional(TEXT), file_id=optional(TEXT), filename=optional(TEXT))),
)
_CALLED: Final = record(["name"], name=_NAME, arguments=optional({"anyOf": [TEXT, _ANYTHING]}), extra_content=_EXTRA)
_FUNCTION: Final = record(
    ["name"],
    name=_NAME,
    description=optional(TEXT),
    parameters=optional(_ANYTHING | {"description": "JSON Schema of an object."}),
    strict=FLAG,
)
_THINKING: Final[dict[str, Schema]] = {
    "thinking_budget": whole(-1, INT32),
    "thinking_level": optional(choice(*LEVELS)),
    "include_thoughts": FLAG,
}
# Google's own fields; each may also stand in extra_body.google, and in camelCase.
_GOOGLE: Final[dict[str, Schema]] = {
    "thinking_config": optional(record([], **_THINKING)),
    **_THINKING,
    "reasoning_effort": optional(choice(*chat.EFFORTS)),
    "safety_settings": optional(many(record(["category", "threshold"], category=TEXT, threshold=TEXT))),
    "cached_content": optional(TEXT | {"pattern": "^cachedContents/"}),
    "web_search_options": optional({"anyOf": [_ANYTHING, {"type": "boolean"}]}),
    "image_config": optional(record([], aspect_ratio=optional(TEXT), image_size=optional(TEXT))),
    "top_k": whole(0, INT32),
}

CHAT_REQUEST: Final = record(
    ["model", "messages"],
    model=MODEL,
    messages=many(named("ChatMessage"), minItems=1),
    stream=FLAG,
    stream_options=optional(record([], include_usage=FLAG)),
    n=whole(1, chat.MOST_CHOICES),
    max_tokens=whole(1),
    max_completion_tokens=whole(1),
    temperature=between(0, 2),
    top_p=between(0, 1),
    frequency_penalty=between(-2, 2),
    presence_penalty=between(-2, 2),
    seed=whole(-chat.INT64, chat.INT64 - 1),
    stop=optional({"anyOf": [TEXT, many(TEXT)], "description": _FIVE}),
    logprobs=FLAG,
    top_logprobs=whole(0, 20),
    tools=optional(many(named("Tool"), maxItems=MOST_TOOLS)),
    tool_choice=optional({"anyOf": [choice(*MODES), _ANYTHING], "description": "As OpenAI has it; needs functions."}),
    parallel_tool_calls=FLAG,
    functions=optional(many(_FUNCTION, maxItems=MOST_TOOLS) | {"description": "The older form of tools."}),
    function_call=optional({"anyOf": [choice(*MODES), _ANYTHING]}),
    response_format=optional(record([], type=choice("text", "json_object", "json_schema"))),
    modalities=optional(many(optional(choice(*MODALITIES)))),
    audio=optional(record([], voice=TEXT, format=optional(choice(*SOUNDS)))),
    **_GOOGLE,
    google=optional(record([], **_GOOGLE)),
    extra_body=optional(record([], google=optional(record([], **_GOOGLE)))),
)
CHAT_MESSAGE: Final[Schema] = record(
    ["role"],
    role=choice(*ROLES),
    content={"anyOf": [{"type": "null"}, TEXT, many({"anyOf": list(_PARTS)})]},
    name=optional(TEXT),
    tool_calls=optional(
        many(record(["id", "function"], id=_NAME, type=choice("function"), function=_CALLED, extra_content=_EXTRA))
    ),
    tool_call_id=optional(_NAME | {"description": "Of the call that a message of role tool answers."}),
    function_call=optional(_CALLED),
    images=optional(many({"anyOf": list(_PARTS)})),
    audio=optional(_ANYTHING),
    extra_content=_EXTRA,
) | {"anyOf": [{"properties": {"role": choice("assistant")}}, {"required": ["content"]}]}
TOOL: Final = record(["function"], type=choice("function"), function=_FUNCTION)

_BLOCKS: Final = many(record(["type"], type=TEXT))
_TURNS: Final = many(
    record(["role", "content"], role=choice("user", "assistant", "system"), content={"anyOf": [TEXT, _BLOCKS]}),
    minItems=1,
)
_COUNTED: Final[dict[str, Schema]] = {
    "model": MODEL,
    "messages": _TURNS,
    "system": optional({"anyOf": [TEXT, _BLOCKS]}),
    "tools": optional(many(_ANYTHING, maxItems=MOST_TOOLS) | {"description": "Custom tools and web search."}),
    "tool_choice": optional(record(["type"], type=choice("auto", "any", "tool", "none"))),
    "thinking": optional(record(["type"], type=choice("enabled", "disabled", "adaptive", "between_tools"))),
    "output_config": optional(
        record([], effort=optional(choice(*anthropic_request.EFFORTS)), format=optional(_ANYTHING))
    ),
    "output_format": optional(record(["type"], type=choice("json_schema"))),
}
COUNT_REQUEST: Final = record(["model", "messages"], **_COUNTED)
MESSAGES_REQUEST: Final = record(
    ["model", "messages", "max_tokens"],
    **_COUNTED,
    max_tokens={"type": "integer", "minimum": 1},
    stream=FLAG,
    temperature=between(0, 1),
    top_p=between(0, 1),
    top_k=whole(0, INT32),
    stop_sequences=optional(many(TEXT) | {"description": _FIVE}),
)

RESPONSES_REQUEST: Final = record(
    ["model", "input"],
    model=MODEL,
    input={"anyOf": [TEXT, many(_ANYTHING, minItems=1)]},
    instructions=optional(TEXT),
    stream=FLAG,
    max_output_tokens=whole(1),
    temperature=between(0, 2),
    top_p=between(0, 1),
    reasoning=optional(record([], effort=optional(choice(*chat.EFFORTS)), summary=optional(TEXT))),
    text=optional(record([], format=optional(record([], type=choice("text", "json_object", "json_schema"))))),
    tools=optional(many(_ANYTHING, maxItems=MOST_TOOLS) | {"description": "Functions and web search."}),
    tool_choice=optional({"anyOf": [choice("auto", "none", "required"), _ANYTHING]}),
    parallel_tool_calls=FLAG,
    include=optional(many(TEXT)),
    metadata=optional(_ANYTHING),
)

SHAPES: Final[dict[str, Any]] = {
    "ChatRequest": CHAT_REQUEST,
    "ChatMessage": CHAT_MESSAGE,
    "Tool": TOOL,
    "Usage": record(
        ["prompt_tokens", "completion_tokens", "total_tokens"],
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        total_tokens=COUNT,
    ),
    "MessagesRequest": MESSAGES_REQUEST,
    "CountRequest": COUNT_REQUEST,
    "ResponsesRequest": RESPONSES_REQUEST,
}
