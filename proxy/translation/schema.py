"""JSON Schemas of clients: what is in them, and what Gemini refuses in them, named by its place. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from proxy.translation import json_value
from proxy.translation.invalid import Invalid, Term, _, shown

Schema = Mapping[str, Any]

TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")
# Keywords that hold one schema, a list of schemas, or schemas by name. Anything else holds plain values, in which
# a "$ref" is only a word.
ONE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
MAPS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
CHOICES: Final = ("anyOf", "oneOf", "allOf")
_MOST_NODES: Final = 10_000


def check(value: Any, param: str) -> Schema:
    """Return a JSON Schema that Gemini can take, as the client wrote it; Invalid at ``param`` otherwise."""
    if not isinstance(value, dict):
        raise Invalid.at(param, _("%(param)s must be a JSON Schema."))
    json_value.checked(value, param)
    refs: dict[int, set[int]] = {}
    for count, node in enumerate(_nodes(value, param)):
        _check_node(node, param)
        if count == _MOST_NODES:
            raise Invalid.at(param, _("%(param)s is too big; %(most)s schemas may be in it."), most=_MOST_NODES)
        refs[id(node)] = set(map(id, _needed(node, value)))
    if _has_loop(refs):
        raise Invalid.at(param, _("%(param)s contains itself without end: a property that it requires leads back."))
    return value


def check_object(value: Any, param: str) -> Schema | None:
    """Return the JSON Schema of a function's arguments, None for no arguments; Invalid when it is of no object."""
    if value is None:
        return None
    schema = check(value, param)
    types = types_of(resolved_root(schema))
    if types and "object" not in types:
        raise Invalid.at(param, _('%(param)s must describe an object: its type must be "object".'))
    return schema


def types_of(schema: Schema) -> list[str]:
    """Return the types a schema allows, in lower case; none when it does not say."""
    types = schema.get("type") or []
    words = [types] if isinstance(types, str) else types
    return [word.lower() for word in words if isinstance(word, str)] if isinstance(words, list) else []


def subschemas(schema: Schema) -> Iterator[tuple[str, Any]]:
    """Return each value that stands where a schema belongs, with its keyword."""
    for keyword in ONE:
        if schema.get(keyword) is not None and not isinstance(schema[keyword], list):
            yield keyword, schema[keyword]
    for keyword in LISTS:
        if isinstance(schema.get(keyword), list):
            yield from ((keyword, each) for each in schema[keyword])
    for keyword in MAPS:
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
            found = found[int(name)] if _is_place(name) and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _is_place(name: str) -> bool:
    """Return whether a word of a reference is a place in a list; Python does not read numbers of any length."""
    return len(name) < 10 and name.isascii() and name.isdigit()


def resolved_root(schema: Schema) -> Schema:
    """Return a checked schema itself, where it is nothing but a reference into its own definitions."""
    root = schema
    while "$ref" in schema:
        rest = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        schema = {**target_of(root, schema["$ref"]), **rest}
    return schema


def _nodes(root: Schema, param: str) -> Iterator[Schema]:
    """Return every schema in ``root`` or referred to, each once and before those inside it."""
    waiting: list[Any] = [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, bool) or id(node) in seen:
            continue
        yield node
        seen.add(id(node))
        waiting.extend(each for _keyword, each in subschemas(node))
        if "$ref" in node:
            target = target_of(root, node["$ref"])
            if target is None:
                sentence = _('%(param)s refers to "%(value)s", which is not in it.')
                raise Invalid.at(param, sentence, value=shown(node["$ref"]))
            waiting.append(target)


def _check_node(node: Any, param: str) -> None:
    if not isinstance(node, dict):
        raise Invalid.at(param, _("%(param)s holds a %(value)s where a schema belongs."), value=Term(_kind(node)))
    for keywords, kind, word in ((CHOICES, list, "a list"), (("properties", "$defs"), dict, "an object")):
        for keyword in keywords:
            if not isinstance(node.get(keyword) or kind(), kind):
                raise _wrong(param, keyword, word)
    # Old drafts wrote `required: true` on a property.
    if not isinstance(node.get("required") or [], (list, bool)):
        raise _wrong(param, "required", "a list")
    if not isinstance(node.get("enum") or [], list):
        raise _wrong(param, "enum", "a list")
    types = node.get("type") or []
    words = types if isinstance(types, list) else [types]
    if not all(isinstance(word, str) and word.lower() in TYPES for word in words):
        raise _wrong(param, "type", ", ".join(TYPES))


def _kind(value: Any) -> str:
    """Return what a JSON value is, in a word."""
    return {type(None): "null", str: "string", list: "list"}.get(type(value), "number")


def _wrong(param: str, keyword: str, word: str) -> Invalid:
    sentence = _('%(param)s holds a "%(keyword)s" that is not %(word)s.')
    return Invalid.at(param, sentence, keyword=Term(keyword), word=Term(word))


def _needed(node: Schema, root: Schema) -> Iterator[Schema]:
    """Return the schemas that no value of this one can do without, by one way or another.

    "ref loops are only supported if they include optional or nullable property values, or a potentially-zero-length
    array items, but a ref loop of required fields was found": Gemini follows every alternative of an anyOf.
    """
    if "$ref" in node:
        yield target_of(root, node["$ref"])
    if not is_nullable(node):
        for keyword in CHOICES:
            yield from (each for each in node.get(keyword) or () if isinstance(each, dict))
    required, properties = node.get("required"), node.get("properties") or {}
    if isinstance(required, list):
        for name in {name for name in required if isinstance(name, str)}:
            member = properties.get(name)
            if isinstance(member, dict) and not is_nullable(member):
                yield member
    least, items = node.get("minItems"), node.get("items")
    if isinstance(least, (int, float)) and least > 0 and isinstance(items, dict):
        yield items


def _has_loop(leads: Mapping[int, set[int]]) -> bool:
    """Return whether anything leads back to itself: whether something is left when all that ends is taken away."""
    users: dict[int, list[int]] = {}
    for node, targets in leads.items():
        for target in targets:
            users.setdefault(target, []).append(node)
    left = {node: len(targets) for node, targets in leads.items()}
    ended = [node for node, count in left.items() if not count]
    for node in ended:
        for user in users.get(node, ()):
            left[user] -= 1
            if not left[user]:
                ended.append(user)
    return len(ended) < len(left)
