"""An OpenAI chat request -> Chat: parsed, checked, and refused with the place of the mistake. Pure."""

from __future__ import annotations

from typing import Any, Final

from proxy.translation import messages, modalities, reading, structured, tools
from proxy.translation.extras import Extras
from proxy.translation.invalid import Invalid, _
from proxy.translation.reading import Document
from proxy.translation.turns import Chat, Inline, Link, Message, Part, Role, Text

__all__ = ["EFFORTS", "Chat", "Inline", "Link", "Message", "Part", "Role", "Text", "parse"]

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_LONGEST_MODEL: Final = 256
_MOST_STOPS: Final = 5
MOST_CHOICES: Final = 8
INT64: Final = 2**63


def parse(document: object) -> Chat:
    """Read the JSON document of a chat request; any mistake of the client's is an Invalid naming the place.

    Null counts as unset. Fields that mean nothing to Gemini (user, metadata, logit_bias ...) and unknown
    ones are ignored.
    """
    if not isinstance(document, dict):
        raise Invalid(_("The request body must be a JSON object."))
    extras = Extras(document)
    thinking = extras.thinking()
    web_search_at = extras.web_search()
    offer = tools.read(document)
    json_mode, json_schema = structured.read(document)
    stream = reading.flag(document.get("stream"), "stream")
    return Chat(
        model=_model(document.get("model")),
        messages=messages.read(document.get("messages")),
        stream=stream,
        include_usage=stream and _include_usage(document.get("stream_options")),
        n=reading.whole(document.get("n"), "n", 1, MOST_CHOICES) or 1,
        max_tokens=_max_tokens(document),
        temperature=reading.number(document.get("temperature"), "temperature", 0, 2),
        top_p=reading.number(document.get("top_p"), "top_p", 0, 1),
        top_k=extras.top_k(),
        frequency_penalty=reading.number(document.get("frequency_penalty"), "frequency_penalty", -2, 2),
        presence_penalty=reading.number(document.get("presence_penalty"), "presence_penalty", -2, 2),
        seed=reading.whole(document.get("seed"), "seed", -INT64, INT64 - 1),
        stop=_stop(document.get("stop")),
        logprobs=reading.flag(document.get("logprobs"), "logprobs"),
        top_logprobs=reading.whole(document.get("top_logprobs"), "top_logprobs", 0, 20),
        reasoning_effort=reading.one_of(*extras.find("reasoning_effort"), EFFORTS),
        thinking_budget=thinking.budget,
        thinking_level=thinking.level,
        include_thoughts=thinking.include,
        safety_settings=extras.safety_settings(),
        web_search=bool(web_search_at),
        web_search_at=web_search_at,
        cached_content=extras.cached_content(),
        tools=offer.tools,
        tool_choice=offer.choice,
        parallel_tool_calls=offer.parallel,
        old_functions=offer.old,
        json_mode=json_mode,
        json_schema=json_schema,
        modalities=modalities.read(document),
        voice=modalities.read_voice(document),
        image_config=extras.image_config(),
    )


def _model(value: Any) -> str:
    if value is None:
        raise Invalid(_("model is missing."), param="model")
    model = reading.text(value, "model")
    if not model.strip() or len(model) > _LONGEST_MODEL:
        raise Invalid(_("model must be the name of a model."), param="model")
    return model


def _include_usage(value: Any) -> bool:
    options = reading.mapping(value, "stream_options")
    return reading.flag(options.get("include_usage"), "stream_options.include_usage")


def _max_tokens(document: Document) -> int | None:
    newer = reading.whole(document.get("max_completion_tokens"), "max_completion_tokens", 1)
    older = reading.whole(document.get("max_tokens"), "max_tokens", 1)
    return older if newer is None else newer


def _stop(value: Any) -> tuple[str, ...]:
    """Read ``stop``: one text or a list; empty ones would stop at once, and Gemini takes five."""
    if isinstance(value, str):
        value = [value]
    if value is not None and not isinstance(value, list):
        raise Invalid.at("stop", _("%(param)s must be a string or a list of strings."))
    texts = (reading.text(each, f"stop[{index}]") for index, each in enumerate(reading.items(value, "stop")))
    return tuple([text for text in texts if text][:_MOST_STOPS])
