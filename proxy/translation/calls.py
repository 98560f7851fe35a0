"""Tool calls and their results in an OpenAI chat's messages, each mistake with its place. Pure."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from proxy.translation import json_value, reading, served
from proxy.translation.answers import matched
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.reading import Document
from proxy.translation.turns import Message, Part, ServerPart, Text, ToolCall, ToolResult


def made(message: Document, place: str) -> tuple[ToolCall, ...]:
    """Return the calls of an assistant's message: ``tool_calls``, or the older ``function_call``."""
    listed = reading.items(message.get("tool_calls"), f"{place}.tool_calls")
    calls = tuple(_call(each, f"{place}.tool_calls[{index}]") for index, each in enumerate(listed))
    old = message.get("function_call")
    if calls or not old:
        return calls
    described = reading.mapping(old, f"{place}.function_call")
    return (_function(described, "", signature(described, f"{place}.function_call"), f"{place}.function_call"),)


def result(message: Document, parts: Sequence[Part], place: str) -> tuple[Part, ...]:
    """Return what a message of role ``tool`` answers, then the media among its ``parts``."""
    call_id = message.get("tool_call_id")
    if call_id is None:
        raise Invalid.at(f"{place}.tool_call_id", _("%(param)s is missing."))
    response, media = _response(parts)
    return ToolResult(_word(call_id, f"{place}.tool_call_id"), response), *media


def old_result(message: Document, parts: Sequence[Part], place: str) -> tuple[Part, ...]:
    """Return what a message of the older role ``function`` answers: the last call of that name."""
    response, media = _response(parts)
    return ToolResult("", response, _word(message.get("name"), f"{place}.name")), *media


def check_answers(messages: Sequence[Message]) -> None:
    """Refuse the first result that answers no call before it."""
    for index, part in matched(messages).unknown:
        answer = messages[index].parts[part]
        if isinstance(answer, ToolResult):
            field, word = ("tool_call_id", answer.call_id) if answer.call_id else ("name", answer.name)
            sentence = _('%(param)s is "%(value)s", but no message before it calls that.')
            raise Invalid.at(f"messages[{index}].{field}", sentence, value=shown(word))


def signature(holder: Document, place: str) -> str | None:
    """Return the thought signature in ``extra_content``, where Google's own OpenAI endpoints put it."""
    extra = reading.mapping(holder.get("extra_content"), f"{place}.extra_content")
    for house in ("google", "vertex"):
        inner = reading.mapping(extra.get(house), f"{place}.extra_content.{house}")
        if inner.get("thought_signature"):
            return _base64(inner["thought_signature"], f"{place}.extra_content.{house}.thought_signature")
    return None


def server_parts(holder: Document, place: str) -> tuple[ServerPart, ...]:
    """Return the parts of Google's own tools in ``extra_content``, where our answers put them."""
    extra = reading.mapping(holder.get("extra_content"), f"{place}.extra_content")
    google = reading.mapping(extra.get("google"), f"{place}.extra_content.google")
    return served.read(google.get(served.FIELD), f"{place}.extra_content.google.{served.FIELD}")


def arguments_of(value: Any, place: str) -> Mapping[str, Any]:
    """Return a call's arguments: JSON text of an object, or the object itself; nothing is no arguments."""
    if isinstance(value, str):
        text = reading.text(value, place).strip()
        try:
            value = orjson.loads(text) if text else {}
        except orjson.JSONDecodeError:
            raise Invalid.at(place, _("%(param)s is not valid JSON.")) from None
    if not isinstance(value, dict | None):
        raise Invalid.at(place, _("%(param)s must be a JSON object."))
    return dict(json_value.checked(value or {}, place))


def response_of(text: str) -> Mapping[str, Any]:
    """Return a result's text as the object that Gemini wants: itself if it is one, else as ``result``."""
    if text.lstrip()[:1] == "{":
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {"result": text}
        if isinstance(value, dict) and json_value.fits(value):
            return value
    return {"result": text}


def _call(value: Any, place: str) -> ToolCall:
    if not isinstance(value, dict):
        raise Invalid.at(place, _("%(param)s must be an object."))
    kind = value.get("type")
    if kind not in (None, "function"):
        raise Invalid.at(f"{place}.type", _('%(param)s must be "function".'))
    call_id = _word(value.get("id"), f"{place}.id")
    function = reading.mapping(value.get("function"), f"{place}.function")
    return _function(function, call_id, signature(value, place), f"{place}.function")


def _function(function: Document, call_id: str, signed: str | None, place: str) -> ToolCall:
    name = _word(function.get("name"), f"{place}.name")
    return ToolCall(call_id, name, arguments_of(function.get("arguments"), f"{place}.arguments"), signed)


def _response(parts: Sequence[Part]) -> tuple[Mapping[str, Any], list[Part]]:
    texts = [part.text for part in parts if isinstance(part, Text)]
    return response_of("\n".join(texts)), [part for part in parts if not isinstance(part, Text)]


def _word(value: Any, place: str) -> str:
    """Return a name or an id, which can not be empty."""
    word = reading.text(value, place)
    if not word.strip():
        raise Invalid.at(place, _("%(param)s must not be empty."))
    return word


def _base64(value: Any, place: str) -> str:
    """Return base64 of either alphabet as it is; it is never to be changed."""
    text = reading.text(value, place)
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        raise Invalid.at(place, _("%(param)s is not valid base64.")) from None
    return text
