"""JSON Schema -> Gemini's own Schema, a subset of OpenAPI's, for the families that read nothing else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from proxy.translation.schema import is_nullable, target_of, types_of

# What Schema has and how its values look; every other keyword is answered with "Unknown name".
_TEXTS: Final = ("title", "description", "pattern")
_COUNTS: Final = ("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength")
_NUMBERS: Final = ("minimum", "maximum")
_CHOICES: Final = ("anyOf", "oneOf")
# "only 'enum' and 'date-time' are supported for STRING type", and the sizes of numbers.
_FORMATS: Final = {"string": ("date-time",), "number": ("float", "double"), "integer": ("int32", "int64")}
# References are written out, which can make a schema grow without end: past these it says no more.
_MOST_NODES: Final = 2000
_MOST_LEVELS: Final = 32
_INT64: Final = 2**63

# What a schema is written out in, from the root: the targets of references by identity, 0 for any other level.
Path = tuple[int, ...]


def converted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked JSON Schema as a Gemini Schema; what Schema has no word for is left out."""
    return _Converter(schema).node(schema, ())


def converted_object(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a function's arguments, which must be of type OBJECT and nothing else."""
    written = converted(schema)
    if written.get("type") == "OBJECT":
        return written
    members: dict[str, Any] = {}
    for choice in written.get("anyOf", ()):
        members |= choice.get("properties", {})
    return {"type": "OBJECT", "properties": members}


class _Converter:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MOST_NODES

    def node(self, schema: Any, path: Path) -> dict[str, Any]:
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0 or len(path) > _MOST_LEVELS:
            return {"type": "STRING"}
        if "$ref" in schema:
            return self._reference(schema, path)
        if "allOf" in schema:
            return self.node(self._merged(schema, path), (*path, 0))
        choices = self._choices(schema)
        if len(choices) > 1:
            return _nullable_if(is_nullable(schema), self._any_of(schema, choices, path))
        if choices:
            rest = {word: value for word, value in schema.items() if word not in _CHOICES}
            # The words beside a reference win over those it points at, and its own type is not known yet.
            return _nullable_if(is_nullable(schema), self.node({**choices[0], **rest}, (*path, 0)))
        return self._plain(schema, path)

    def _reference(self, schema: Mapping[str, Any], path: Path) -> dict[str, Any]:
        target = target_of(self._root, schema["$ref"])
        if id(target) in path:
            return {"type": "OBJECT"}
        rest = {word: value for word, value in schema.items() if word != "$ref"}
        return self.node({**target, **rest}, (*path, id(target)))

    def _merged(self, schema: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Return a schema with what its allOf asks for as its own."""
        merged = {word: value for word, value in schema.items() if word != "allOf"}
        for part in schema["allOf"] or ():
            target = target_of(self._root, part["$ref"]) if isinstance(part, dict) and "$ref" in part else part
            if isinstance(target, dict) and id(target) not in path:
                for word, value in target.items():
                    merged[word] = _both(merged[word], value) if word in merged else value
        return merged

    def _choices(self, schema: Mapping[str, Any]) -> list[Any]:
        if schema.get("properties"):
            # Alternatives of an object that says its members are about which of them go together.
            return []
        listed = [each for word in _CHOICES for each in schema.get(word) or ()]
        if not listed:
            types = [word for word in types_of(schema) if word != "null"]
            listed = [{**schema, "type": word} for word in types] if len(types) > 1 else []
        return [each for each in listed if isinstance(each, dict) and types_of(each) != ["null"]]

    def _any_of(self, schema: Mapping[str, Any], choices: list[Any], path: Path) -> dict[str, Any]:
        """Return alternatives and nothing beside them: some models refuse any other word there."""
        written = [self.node(each, (*path, 0)) for each in choices]
        description = schema.get("description")
        if isinstance(description, str) and "anyOf" not in written[0]:
            written[0].setdefault("description", description)
        return {"anyOf": written}

    def _plain(self, schema: Mapping[str, Any], path: Path) -> dict[str, Any]:
        kind = _kind(schema)
        node: dict[str, Any] = {"type": kind.upper(), **_facts(schema, kind), **_enum(schema, kind)}
        if kind == "object":
            node |= self._members(schema, path)
        if kind == "array":
            node["items"] = self._items(schema, path)
        return _nullable_if(is_nullable(schema), node)

    def _members(self, schema: Mapping[str, Any], path: Path) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        written = {name: self.node(each, (*path, 0)) for name, each in properties.items() if each is not False}
        asked = schema.get("required")
        names = asked if isinstance(asked, list) else []
        # Anything may stand in the list, also what no dictionary can be asked for.
        required = [name for name in names if isinstance(name, str) and name in written]
        members: dict[str, Any] = {"properties": written} if written else {}
        return members | ({"required": list(dict.fromkeys(required))} if required else {})

    def _items(self, schema: Mapping[str, Any], path: Path) -> dict[str, Any]:
        items = schema.get("items")
        places = schema.get("prefixItems") or (items if isinstance(items, list) else None)
        return self.node({"anyOf": places} if places else items, (*path, 0))


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the one type of a schema, by its other words where it does not say."""
    types = [word for word in types_of(schema) if word != "null"]
    if types:
        return types[0]
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _facts(schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
    facts: dict[str, Any] = {word: schema[word] for word in _TEXTS if isinstance(schema.get(word), str)}
    facts |= {word: int(schema[word]) for word in _COUNTS if _is_number(schema.get(word), 0, _INT64)}
    facts |= {word: schema[word] for word in _NUMBERS if _is_number(schema.get(word), -_INT64, _INT64)}
    if schema.get("format") in _FORMATS.get(kind, ()):
        facts["format"] = schema["format"]
    return facts


def _enum(schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the values allowed: Schema knows texts only, others are told in the description."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    values = [value for value in values if value not in (None, "")] if isinstance(values, list) else []
    if not values:
        return {}
    if kind == "string" and all(isinstance(value, str) for value in values):
        return {"enum": list(dict.fromkeys(values))}
    said = schema.get("description")
    allowed = f"One of: {', '.join(map(str, values))}."
    return {"description": f"{said} {allowed}" if isinstance(said, str) and said else allowed}


def _both(one: Any, other: Any) -> Any:
    """Return what two schemas say under the same word, together where that can be."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **other}
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *(each for each in other if each not in one)]
    return one


def _nullable_if(nullable: bool, node: dict[str, Any]) -> dict[str, Any]:
    if nullable and "anyOf" in node:
        for each in node["anyOf"]:
            _nullable_if(True, each)
    elif nullable:
        node["nullable"] = True
    return node


def _is_number(value: Any, least: int, below: int) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value < below
