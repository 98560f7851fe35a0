"""Answers in JSON: what the client asks for, and how a model is asked for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.translation import reading
from proxy.translation.gemini_schema import converted
from proxy.translation.invalid import Invalid, Term, _, shown
from proxy.translation.reading import Document
from proxy.translation.ready_schema import ready
from proxy.translation.schema import check
from proxy.translation.turns import Chat

_FORMATS: Final = ("text", "json_object", "json_schema")

# Said where a model has no JSON output, or none beside tools.
IN_WORDS: Final = "Answer with one JSON value and nothing else: no explanation, no code fence."
IN_WORDS_WITH_TOOLS: Final = (
    "Unless you call a function, answer with one JSON value and nothing else: no explanation, no code fence."
)
OF_THIS_SCHEMA: Final = "It must fit this JSON Schema:"


def read(document: Document) -> tuple[bool, Mapping[str, Any] | None]:
    """Read ``response_format``: whether the answer shall be JSON, and the schema it shall fit (None: any)."""
    form = reading.mapping(document.get("response_format"), "response_format")
    kind = reading.text(form.get("type", "text"), "response_format.type")
    if kind not in _FORMATS:
        sentence = _('%(param)s must be one of %(words)s, not "%(value)s".')
        raise Invalid.at("response_format.type", sentence, words=Term(", ".join(_FORMATS)), value=shown(kind))
    if kind == "text":
        return False, None
    if kind == "json_object":
        # Others than OpenAI take a schema here.
        return True, _schema(form.get("schema"), "response_format.schema")
    if form.get("json_schema") is None:
        raise Invalid.at("response_format.json_schema", _("%(param)s is missing."))
    described = reading.mapping(form["json_schema"], "response_format.json_schema")
    return True, _schema(described.get("schema"), "response_format.json_schema.schema")


def _schema(value: Any, place: str) -> Mapping[str, Any] | None:
    return None if value is None else check(value, place)


def config(chat: Chat, *, json_schema: bool) -> dict[str, Any]:
    """Return the fields of generationConfig that make a model answer in JSON.

    ``json_schema`` says whether it reads JSON Schema, or only Gemini's own Schema.
    """
    fields: dict[str, Any] = {"responseMimeType": "application/json"}
    if chat.json_schema:
        schema = ready(chat.json_schema)
        fields |= {"responseJsonSchema": schema} if json_schema else {"responseSchema": converted(schema)}
    return fields


def words(chat: Chat, *, tools: bool) -> str:
    """Return what a model is told that can not be made to answer in JSON."""
    asked = IN_WORDS_WITH_TOOLS if tools else IN_WORDS
    if not chat.json_schema:
        return asked
    return f"{asked} {OF_THIS_SCHEMA}\n{orjson.dumps(ready(chat.json_schema)).decode()}"
