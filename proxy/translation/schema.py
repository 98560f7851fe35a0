"""JSON Schemas of clients: refused with their place, or made ready for Gemini's JSON Schema fields. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from proxy.translation import json_value
from proxy.translation.invalid import Invalid, Term, _, shown

Schema = Mapping[str, Any]

TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")
# Keywords that hold one schema, a list of schemas, or schemas by name. Anything else holds plain values, in which
# a "$ref" is only a word.
_ONE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_MAPS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_CHOICES: Final = ("anyOf", "oneOf", "allOf")
# Where null is a value like any other; elsewhere it is a keyword that was left unset.
_MAY_BE_NULL: Final = ("default", "const", "example")
_MOST_NODES: Final = 10_000
_PLAIN_REF: Final = re.compile(r"#/\$defs/([\w.-]+)", re.ASCII)
_NO_LETTER: Final = re.compile(r"[^\w.-]+", re.ASCII)


def check(value: Any, param: str) -> Schema:
    """Return a JSON Schema that Gemini can take, as the client wrote it; Invalid at ``param`` otherwise."""
    if not isinstance(value, dict):
        raise Invalid.at(param, _("%(param)s must be a JSON Schema."))
    json_value.checked(value, param)
    refs = _Refs(value)
    for count, node in enumerate(_nodes(value)):
        _check_node(node, param)
        if count == _MOST_NODES:
            raise Invalid.at(param, _("%(param)s is too big; %(most)s schemas may be in it."), most=_MOST_NODES)
        if "$ref" in node and refs.target(node["$ref"]) is None:
            raise Invalid.at(
                param, _('%(param)s refers to "%(value)s", which is not in it.'), value=shown(node["$ref"])
            )
    if refs.loop_of_required(value):
        raise Invalid.at(param, _("%(param)s contains itself without end: a property that it requires leads back."))
    return value


def check_object(value: Any, param: str) -> Schema | None:
    """Return the JSON Schema of a function's arguments, None for no arguments; Invalid when it is of no object."""
    if value is None:
        return None
    schema = check(value, param)
    if not ({"", "object"} & set(types_of(schema) or [""])):
        raise Invalid.at(param, _('%(param)s must describe an object: its type must be "object".'))
    return schema


def types_of(schema: Schema) -> list[str]:
    """Return the types a schema allows, in lower case; none when it does not say."""
    types = schema.get("type")
    return [word.lower() for word in ([types] if isinstance(types, str) else types or [])]


def ready(schema: Schema) -> dict[str, Any]:
    """Return a checked schema as Gemini's JSON Schema fields read it: the same, in their words.

    References point into ``$defs``, nothing but a description stands beside one; the rest stays as it is.
    """
    return _Rewriter(schema).root()


def ready_object(schema: Schema | None) -> dict[str, Any] | None:
    """Return the schema of a function's arguments, ready, with its type said; None when it says nothing."""
    rewritten = ready(schema or {})
    if not rewritten:
        return None
    if not types_of(rewritten) and not {"$ref", *_CHOICES} & rewritten.keys():
        return {"type": "object", **rewritten}
    if isinstance(rewritten.get("type"), list):
        rewritten["type"] = "object"
    return rewritten


def subschemas(schema: Schema) -> Iterator[tuple[str, Any]]:
    """Return each value that stands where a schema belongs, with its keyword."""
    for keyword in _ONE:
        if schema.get(keyword) is not None and not isinstance(schema[keyword], list):
            yield keyword, schema[keyword]
    for keyword in _LISTS:
        if isinstance(schema.get(keyword), list):
            yield from ((keyword, each) for each in schema[keyword])
    for keyword in _MAPS:
        if isinstance(schema.get(keyword), dict):
            yield from ((keyword, each) for each in schema[keyword].values())


def is_nullable(schema: Schema) -> bool:
    """Return whether null is among what a schema allows."""
    if "null" in types_of(schema) or schema.get("nullable") is True:
        return True
    choices = (each for keyword in ("anyOf", "oneOf") for each in schema.get(keyword) or ())
    return any(isinstance(each, dict) and types_of(each) == ["null"] for each in choices)


def target_of(root: Schema, ref: Any) -> Any:
    """Return what a ``$ref`` inside ``root`` points at, None when it is not there or is no schema."""
    if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
        return None
    found: Any = root
    for word in ref.split("/")[1:]:
        name = unquote(word).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(name)] if name.isascii() and name.isdigit() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _nodes(schema: Schema) -> Iterator[Schema]:
    """Return the schema and every schema inside it; values that should be schemas and are not come as they are."""
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            waiting.extend(each for _keyword, each in subschemas(node) if not isinstance(each, bool))


def _check_node(node: Any, param: str) -> None:
    if not isinstance(node, dict):
        raise Invalid.at(param, _("%(param)s holds a %(value)s where a schema belongs."), value=Term(shown_kind(node)))
    for keywords, kind, word in ((_CHOICES, list, "a list"), (("properties", "$defs"), dict, "an object")):
        for keyword in keywords:
            if not isinstance(node.get(keyword) or kind(), kind):
                raise _wrong(param, keyword, word)
    for keyword in ("required", "enum"):
        # Old drafts wrote `required: true` on a property.
        if not isinstance(node.get(keyword) or [], (list, bool)):
            raise _wrong(param, keyword, "a list")
    types = node.get("type") or []
    words = types if isinstance(types, list) else [types]
    if not all(isinstance(word, str) and word.lower() in TYPES for word in words):
        raise _wrong(param, "type", ", ".join(TYPES))


def shown_kind(value: Any) -> str:
    """Return what a JSON value is, in a word."""
    kinds = {type(None): "null", str: "string", list: "list", bool: "boolean", dict: "object"}
    return kinds.get(type(value), "number")


def _wrong(param: str, keyword: str, word: str) -> Invalid:
    sentence = _('%(param)s holds a "%(keyword)s" that is not %(word)s.')
    return Invalid.at(param, sentence, keyword=Term(keyword), word=Term(word))


class _Refs:
    """The references of one schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._found: dict[str, Any] = {}

    def target(self, ref: Any) -> Any:
        if not isinstance(ref, str):
            return None
        if ref not in self._found:
            self._found[ref] = target_of(self._root, ref)
        return self._found[ref]

    def loop_of_required(self, root: Schema) -> bool:
        """Return whether following what is required leads in a circle.

        "ref loops are only supported if they include optional or nullable property values, or a
        potentially-zero-length array items": Gemini follows every alternative of an anyOf.
        """
        leads = {ref: set(_required_refs(target)) for ref, target in self._found.items()}
        leads[""] = set(_required_refs(root))
        users: dict[str, list[str]] = {}
        for ref, targets in leads.items():
            for target in targets:
                users.setdefault(target, []).append(ref)
        left = {ref: len(targets) for ref, targets in leads.items()}
        ended = [ref for ref, count in left.items() if not count]
        for ref in ended:
            for user in users.get(ref, ()):
                left[user] -= 1
                if not left[user]:
                    ended.append(user)
        return len(ended) < len(left)


def _required_refs(schema: Schema) -> Iterator[str]:
    """Return the references that a value of this schema can not do without, by one way or another."""
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        if "$ref" in node:
            yield node["$ref"]
        if not is_nullable(node):
            waiting.extend(each for keyword in _CHOICES for each in node.get(keyword) or ())
        required, properties = node.get("required"), node.get("properties") or {}
        if isinstance(required, list):
            names = (name for name in required if isinstance(name, str))
            waiting.extend(properties[name] for name in names if not _may_be_null(properties.get(name)))
        least = node.get("minItems")
        if isinstance(least, (int, float)) and least > 0:
            waiting.append(node.get("items"))


def _may_be_null(schema: Any) -> bool:
    return not isinstance(schema, dict) or is_nullable(schema)


class _Rewriter:
    """Writes one schema anew; what is referred to outside ``$defs`` moves there."""

    def __init__(self, schema: Schema) -> None:
        self._source = schema
        self._defs = dict.fromkeys(schema.get("$defs") or {}, True)
        self._moved: dict[int, str] = {}
        self._waiting: list[tuple[str, Schema]] = []

    def root(self) -> dict[str, Any]:
        rewritten = self._schema(self._source)
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
        rewritten = _mapped(schema, self._schema)
        rewritten = {word: value for word, value in rewritten.items() if value is not None or word in _MAY_BE_NULL}
        if isinstance(rewritten.get("type"), (str, list)):
            words = types_of(rewritten)
            rewritten["type"] = words if isinstance(rewritten["type"], list) else words[0]
        if isinstance(rewritten.get("required"), bool):
            del rewritten["required"]
        if isinstance(rewritten.get("items"), list):
            rewritten["prefixItems"] = rewritten.pop("items")
        # Gemini passes over const, but reads an enum of one.
        if isinstance(rewritten.get("const"), (str, int, float)) and not isinstance(rewritten["const"], bool):
            rewritten.setdefault("enum", [rewritten["const"]])
        rewritten = _without_lone_all_of(rewritten)
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


_OF_THE_ROOT: Final = ("$schema", "$defs", "definitions")


def _mapped(schema: Schema, change: Callable[[Schema], dict[str, Any]]) -> dict[str, Any]:
    """Return a copy in which every schema inside is changed; ``true`` becomes the schema of anything."""

    def changed(value: Any, keyword: str) -> Any:
        if isinstance(value, dict):
            return change(value)
        return {} if value is True and keyword != "additionalProperties" else value

    copy = dict(schema)
    for keyword in _ONE:
        if keyword in copy and not isinstance(copy[keyword], list):
            copy[keyword] = changed(copy[keyword], keyword)
    for keyword in _LISTS:
        if isinstance(copy.get(keyword), list):
            copy[keyword] = [changed(each, keyword) for each in copy[keyword]]
    for keyword in _MAPS:
        if isinstance(copy.get(keyword), dict):
            copy[keyword] = {name: changed(each, keyword) for name, each in copy[keyword].items()}
    return copy


def _without_lone_all_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return ``allOf`` of one schema as that schema: Gemini passes over allOf."""
    parts = schema.get("allOf")
    if not (isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict)):
        return schema
    rest = {keyword: value for keyword, value in schema.items() if keyword != "allOf"}
    return schema if rest.keys() & parts[0].keys() else {**parts[0], **rest}
