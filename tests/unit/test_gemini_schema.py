"""JSON Schema -> Gemini's own Schema, for the models that read nothing else."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings

from proxy.translation.gemini_schema import converted, converted_object
from proxy.translation.ready_schema import ready
from proxy.translation.schema import check
from tests.chats import SCHEMAS
from tests.hostile import GOOD_TIME

TEXT = {"type": "string"}
STRING = {"type": "STRING"}
KNOWN = {
    "type", "format", "title", "description", "nullable", "enum", "items", "maxItems", "minItems", "properties",
    "required", "minProperties", "maxProperties", "minimum", "maximum", "minLength", "maxLength", "pattern", "anyOf",
}  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (TEXT, STRING),
        ({}, STRING),
        ({"type": ["string", "null"]}, STRING | {"nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [STRING, {"type": "INTEGER"}]}),
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 9}, {"type": "INTEGER", "minimum": 1}),
        ({"type": "string", "format": "date-time"}, STRING | {"format": "date-time"}),
        ({"type": "string", "format": "email", "maxLength": 5.0}, STRING | {"maxLength": 5}),
        ({"type": "number", "format": "double"}, {"type": "NUMBER", "format": "double"}),
        ({"type": "string", "enum": ["a", "", "a", None, "b"]}, STRING | {"enum": ["a", "b"]}),
        ({"const": "a"}, STRING | {"enum": ["a"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "INTEGER", "description": "One of: 1, 2."}),
        (
            {"type": "integer", "description": "How many.", "enum": [1]},
            {"type": "INTEGER", "description": "How many. One of: 1."},
        ),
        ({"anyOf": [TEXT, {"type": "null"}], "description": "d"}, STRING | {"nullable": True, "description": "d"}),
        (
            {"oneOf": [TEXT, {"type": "boolean"}, {"type": "null"}], "title": "t"},
            {"anyOf": [STRING | {"nullable": True}, {"type": "BOOLEAN", "nullable": True}]},
        ),
        ({"type": "array"}, {"type": "ARRAY", "items": STRING}),
        ({"items": {"type": "integer"}}, {"type": "ARRAY", "items": {"type": "INTEGER"}}),
        (
            {"type": "array", "prefixItems": [TEXT, {"type": "integer"}]},
            {"type": "ARRAY", "items": {"anyOf": [STRING, {"type": "INTEGER"}]}},
        ),
        (
            {"properties": {"a": TEXT, "b": False}, "required": ["a", "b", "c", "a"], "additionalProperties": False},
            {"type": "OBJECT", "properties": {"a": STRING}, "required": ["a"]},
        ),
        (
            {"properties": {"a": TEXT}, "required": [[], {}, None, 1, "a"]},
            {"type": "OBJECT", "properties": {"a": STRING}, "required": ["a"]},
        ),
        (
            {"allOf": [{"properties": {"a": TEXT}, "required": ["a"]}, {"properties": {"b": TEXT}, "required": ["b"]}]},
            {"type": "OBJECT", "properties": {"a": STRING, "b": STRING}, "required": ["a", "b"]},
        ),
        (
            {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"type": "OBJECT", "properties": {"a": STRING}},
        ),
        (
            {"properties": {"not": TEXT, "$ref": TEXT}},
            {"type": "OBJECT", "properties": {"not": STRING, "$ref": STRING}},
        ),
    ],
)
def test_what_schema_has_words_for_is_said(schema: Any, sent: Any) -> None:
    assert converted(schema) == sent


def test_references_are_written_out() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}], "description": "mine"}, "b": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "object", "properties": {"x": TEXT}, "description": "theirs"}},
    }

    properties = converted(schema)["properties"]

    assert properties["a"] == {"type": "OBJECT", "properties": {"x": STRING}, "description": "mine"}
    assert properties["b"] == {"type": "OBJECT", "properties": {"x": STRING}, "description": "theirs"}


def test_a_schema_that_contains_itself_is_written_once() -> None:
    schema = {"type": "object", "properties": {"up": {"$ref": "#"}, "name": TEXT}}

    sent = converted(schema)

    assert sent["properties"]["up"]["properties"] == {"up": {"type": "OBJECT"}, "name": STRING}


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "object"}, {"type": "OBJECT"}),
        (
            {"anyOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]},
            {"type": "OBJECT", "properties": {"a": STRING, "b": STRING}},
        ),
    ],
)
def test_arguments_are_of_type_object(schema: Any, sent: Any) -> None:
    assert converted_object(schema) == sent


def assert_known(node: dict[str, Any]) -> None:
    assert node.keys() <= KNOWN
    assert "anyOf" not in node or node.keys() == {"anyOf"}
    assert ("anyOf" in node) != ("type" in node)
    for each in (*node.get("properties", {}).values(), *node.get("anyOf", ()), *filter(None, [node.get("items")])):
        assert_known(each)


@settings(max_examples=200)
@given(SCHEMAS)
def test_nothing_is_said_that_schema_does_not_know(schema: Any) -> None:
    assert_known(converted(ready(check(schema, "x"))))


@pytest.mark.parametrize(
    "schema",
    [
        # Ten branches at each of twenty levels; a chain; all of one another.
        {"$ref": "#/$defs/0", "$defs": {str(n): {"properties": {
            str(m): {"$ref": f"#/$defs/{n + 1}"} for m in range(10)}} for n in range(20)} | {"20": TEXT}},
        {"$ref": "#/$defs/0", "$defs": {str(n): {"properties": {"a": {"$ref": f"#/$defs/{n + 1}"}}}
                                        for n in range(4000)} | {"4000": TEXT}},
        {"$defs": {str(n): {"properties": {"a": {"allOf": [{"$ref": f"#/$defs/{m}"} for m in range(50)]}}}
                   for n in range(50)}, "$ref": "#/$defs/0"},
    ],
)  # fmt: skip
def test_hostile_schemas_are_cut_in_good_time(schema: Any) -> None:
    began = time.process_time()

    assert_known(converted(ready(check(schema, "x"))))

    assert time.process_time() - began < GOOD_TIME
