"""A checked JSON Schema -> one that Gemini's JSON Schema fields read, the same in their words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from proxy.translation.schema import CHOICES, LISTS, MAPS, ONE, Schema, resolved_root, target_of, types_of

_PLAIN_REF: Final = re.compile(r"#/\$defs/([\w.-]+)", re.ASCII)
_NO_LETTER: Final = re.compile(r"[^\w.-]+", re.ASCII)
# Where null is a value like any other; elsewhere it is a keyword that was left unset.
_MAY_BE_NULL: Final = ("default", "const", "example")
# What an empty value of another kind, as some languages write it, or an old draft's `required: true` says nothing in.
_KINDS: Final = dict.fromkeys(("properties", "$defs"), dict) | dict.fromkeys((*CHOICES, "required", "enum"), list)
_OF_THE_ROOT: Final = ("$schema", "$defs", "definitions")


def ready(schema: Schema) -> dict[str, Any]:
    """Return a checked schema as Gemini's JSON Schema fields read it: the same, in their words.

    References point into ``$defs`` and nothing stands beside one; what Gemini reads as it is stays as it is.
    """
    return _Rewriter(schema).root()


def ready_object(schema: Schema | None) -> dict[str, Any] | None:
    """Return the schema of a function's arguments, ready, with its type said; None when it says nothing."""
    rewritten = ready(schema or {})
    if not rewritten:
        return None
    if not types_of(rewritten) and not {"$ref", *CHOICES} & rewritten.keys():
        return {"type": "object", **rewritten}
    if isinstance(rewritten.get("type"), list):
        rewritten["type"] = "object"
    return rewritten


class _Rewriter:
    """Writes one schema anew; what is referred to outside ``$defs`` moves there."""

    def __init__(self, schema: Schema) -> None:
        self._source = schema
        self._defs = dict.fromkeys(schema.get("$defs") or {}, True)
        self._moved: dict[int, str] = {}
        self._waiting: list[tuple[str, Schema]] = []

    def root(self) -> dict[str, Any]:
        root = resolved_root(self._source)
        rewritten = self._schema({keyword: value for keyword, value in root.items() if keyword != "$schema"})
        # That of a part that was taken in.
        rewritten.pop("$schema", None)
        moved: dict[str, Any] = {}
        while self._waiting:
            name, target = self._waiting.pop()
            moved[name] = {word: value for word, value in self._schema(target).items() if word not in _OF_THE_ROOT}
        if moved:
            rewritten["$defs"] = {**rewritten.get("$defs", {}), **moved}
            # Everything that was used of them has moved.
            rewritten.pop("definitions", None)
        return rewritten

    def _schema(self, schema: Schema) -> dict[str, Any]:
        rewritten = _mapped(_without_lone_all_of(_with_prefix_items(schema)), self._schema)
        rewritten = {word: value for word, value in rewritten.items() if _is_set(word, value)}
        if words := types_of(rewritten):
            rewritten["type"] = words if isinstance(rewritten["type"], list) else words[0]
        else:
            rewritten.pop("type", None)
        # Gemini passes over const, but reads an enum of one.
        if isinstance(rewritten.get("const"), (str, int, float)) and not isinstance(rewritten["const"], bool):
            rewritten.setdefault("enum", [rewritten["const"]])
        return self._pointing_right(rewritten) if "$ref" in rewritten else rewritten

    def _pointing_right(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema with its reference pointing into ``$defs``, and nothing beside it that may not be there.

        "If `$ref` is set on a sub-schema, no other properties, except for than those starting as a `$`, may be set."
        """
        ref = {"$ref": self._pointer(schema["$ref"])}
        rest = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        if all(keyword.startswith("$") for keyword in rest):
            return ref | rest
        return rest if "anyOf" in rest else {**rest, "anyOf": [ref]}

    def _pointer(self, ref: str) -> str:
        plain = _PLAIN_REF.fullmatch(ref)
        if plain and plain[1] in (self._source.get("$defs") or {}):
            return ref
        # One target may be pointed at in many spellings.
        target = target_of(self._source, ref)
        if id(target) not in self._moved:
            self._moved[id(target)] = name = self._free_name(ref)
            self._waiting.append((name, target))
        return f"#/$defs/{self._moved[id(target)]}"

    def _free_name(self, ref: str) -> str:
        stem = _NO_LETTER.sub("_", unquote(ref.rpartition("/")[2])).strip("_#") or "root"
        name, number = stem, 1
        while name in self._defs:
            number += 1
            name = f"{stem}_{number}"
        self._defs[name] = True
        return name


def _is_set(keyword: str, value: Any) -> bool:
    if value is None:
        return keyword in _MAY_BE_NULL
    return keyword not in _KINDS or isinstance(value, _KINDS[keyword])


def _mapped(schema: Schema, change: Callable[[Schema], dict[str, Any]]) -> dict[str, Any]:
    """Return a copy in which every schema inside is changed; ``true`` becomes the schema of anything."""

    def changed(value: Any, keyword: str) -> Any:
        if isinstance(value, dict):
            return change(value)
        return {} if value is True and keyword != "additionalProperties" else value

    copy = dict(schema)
    for keyword in ONE:
        if keyword in copy and not isinstance(copy[keyword], list):
            copy[keyword] = changed(copy[keyword], keyword)
    for keyword in LISTS:
        if isinstance(copy.get(keyword), list):
            copy[keyword] = [changed(each, keyword) for each in copy[keyword]]
    for keyword in MAPS:
        if isinstance(copy.get(keyword), dict):
            copy[keyword] = {name: changed(each, keyword) for name, each in copy[keyword].items()}
    return copy


def _with_prefix_items(schema: Schema) -> Schema:
    """Return a list of ``items`` under its newer name, which is the one that Gemini reads."""
    if not isinstance(schema.get("items"), list):
        return schema
    return {keyword: value for keyword, value in schema.items() if keyword != "items"} | {
        "prefixItems": schema["items"]
    }


def _without_lone_all_of(schema: Schema) -> Schema:
    """Return ``allOf`` of one schema as that schema: Gemini passes over allOf."""
    parts = schema.get("allOf")
    while isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict):
        rest = {keyword: value for keyword, value in schema.items() if keyword != "allOf"}
        part = _with_prefix_items(parts[0])
        if rest.keys() & part.keys():
            break
        schema = {**part, **rest}
        parts = schema.get("allOf")
    return schema
