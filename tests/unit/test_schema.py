"""JSON Schemas of clients: which are refused, and how the others are made ready for Gemini."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import example, given, settings

from proxy.translation.invalid import Invalid
from proxy.translation.ready_schema import ready, ready_object
from proxy.translation.schema import check, check_object
from tests.chats import SCHEMAS
from tests.hostile import GOOD_TIME

TEXT = {"type": "string"}
NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}


def refusal(schema: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        check(schema, "tools[0].function.parameters")
    return caught.value


def nested(levels: int) -> Any:
    schema: Any = TEXT
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        "object",
        [],
        5,
        {"properties": [TEXT]},
        {"properties": {"a": "string"}},
        {"properties": {"a": None}},
        {"type": "int"},
        {"type": 5},
        {"type": ["string", 5]},
        {"type": {"a": "b"}},
        {"required": "a"},
        {"enum": "a"},
        {"enum": True},
        {"anyOf": {"a": TEXT}},
        {"anyOf": ["string"]},
        {"items": 5},
        {"items": [TEXT, 5]},
        {"$defs": "A"},
        {"$ref": 5},
        {"$ref": "#/$defs/Nowhere"},
        {"$ref": "#/definitions/A/b", "definitions": {"A": {"b": 5}}},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/items/7", "items": [TEXT]},
        {"$ref": f"#/items/{'9' * 5000}", "items": [TEXT]},
        {"default": 10**30},
        {"default": float("nan")},
        {"description": "\ud800"},
        {"\ud800": 1},
        nested(101),
    ],
)
def test_what_gemini_can_not_take_is_refused_with_its_place(schema: Any) -> None:
    error = refusal(schema)

    assert error.param == "tools[0].function.parameters"
    assert str(error).startswith("tools[0].function.parameters ")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}},
        {"$ref": "#/$defs/Node", "$defs": {"Node": NODE | {"required": ["next"]}}},
        {"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self", "self"]},
        # As quoted from a live answer: one way of an anyOf is enough.
        {
            "$ref": "#/$defs/And",
            "$defs": {
                "And": {
                    "properties": {"left": {"anyOf": [TEXT, {"$ref": "#/$defs/And"}]}},
                    "required": ["left"],
                }
            },
        },
        {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
        {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"oneOf": [{"$ref": "#"}, TEXT]}}},
    ],
)
def test_a_schema_that_requires_itself_is_refused(schema: Any) -> None:
    assert "contains itself without end" in str(refusal(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
        {"type": "array", "items": {"$ref": "#"}},
        {"properties": {"all": {"type": "array", "items": {"$ref": "#"}}}, "required": ["all"]},
        {"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]},
        {"properties": {"next": {"$ref": "#/$defs/Maybe"}}, "required": ["next"],
         "$defs": {"Maybe": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
        {"properties": {"next": {"$ref": "#", "type": ["object", "null"]}}, "required": ["next"]},
        # A member of this name, and values, are no references.
        {"properties": {"$ref": TEXT}, "required": ["$ref"]},
        {"default": {"$ref": "nowhere"}, "enum": [{"$ref": "nowhere"}], "examples": [{"$ref": 1}]},
    ],
)  # fmt: skip
def test_a_schema_may_contain_itself_where_there_is_an_end(schema: Any) -> None:
    assert check(schema, "x") is schema


@pytest.mark.parametrize(
    ("schema", "good"),
    [
        (None, True),
        ({}, True),
        ({"type": "object"}, True),
        ({"type": "OBJECT"}, True),
        ({"type": ["object", "null"]}, True),
        ({"properties": {}}, True),
        ({"anyOf": [{"type": "object"}]}, True),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}, True),
        ({"$ref": "#/$defs/A", "$defs": {"A": TEXT}}, False),
        (TEXT, False),
        ({"type": ["array", "null"]}, False),
    ],
)
def test_arguments_are_an_object(schema: Any, good: bool) -> None:
    if good:
        assert check_object(schema, "x") == schema
    else:
        with pytest.raises(Invalid):
            check_object(schema, "x")


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "object", "$schema": "http://json-schema.org/draft-04/schema#"}, {"type": "object"}),
        (
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False, "required": ["a"]},
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False, "required": ["a"]},
        ),
        (
            {"properties": {"$schema": TEXT, "not": TEXT, "if": TEXT, "examples": TEXT}},
            {"properties": {"$schema": TEXT, "not": TEXT, "if": TEXT, "examples": TEXT}},
        ),
        ({"type": "STRING", "items": None, "default": None}, {"type": "string", "default": None}),
        ({"type": ["String", "null"]}, {"type": ["string", "null"]}),
        ({"type": "", "properties": [], "required": {}, "anyOf": {}}, {}),
        ({"properties": {"a": True, "b": {"required": True}}}, {"properties": {"a": {}, "b": {}}}),
        ({"additionalProperties": True}, {"additionalProperties": True}),
        ({"items": [TEXT, TEXT]}, {"prefixItems": [TEXT, TEXT]}),
        ({"const": "a"}, {"const": "a", "enum": ["a"]}),
        ({"const": None}, {"const": None}),
        ({"allOf": [TEXT], "description": "d"}, {"type": "string", "description": "d"}),
        ({"allOf": [{"type": "object"}, {"required": ["a"]}]}, {"allOf": [{"type": "object"}, {"required": ["a"]}]}),
    ],
)
def test_a_schema_is_written_in_the_words_gemini_reads(schema: Any, sent: Any) -> None:
    assert ready(schema) == sent


def test_references_point_into_defs() -> None:
    schema = {
        "$schema": "x",
        "properties": {
            "kept": {"$ref": "#/$defs/A"},
            "old": {"$ref": "#/definitions/B"},
            "again": {"$ref": "#/definitions/%42"},
            "strange": {"$ref": "#/$defs/C%5BD~1E%5D"},
            "path": {"$ref": "#/properties/here"},
            "here": {"type": "object", "properties": {"up": {"$ref": "#"}}},
        },
        "$defs": {"A": TEXT, "C[D/E]": TEXT, "B": TEXT},
        "definitions": {"B": {"type": "integer"}},
    }

    sent = ready(check(schema, "x"))

    refs = {name: each.get("$ref") for name, each in sent["properties"].items()}
    assert refs == {
        "kept": "#/$defs/A",
        "old": "#/$defs/B_2",
        "again": "#/$defs/B_2",
        "strange": "#/$defs/C_D_1E",
        "path": "#/$defs/here",
        "here": None,
    }
    assert sent["$defs"]["B_2"] == {"type": "integer"}
    assert sent["$defs"]["root"]["properties"]["here"]["properties"] == {"up": {"$ref": "#/$defs/root"}}
    assert "$defs" not in sent["$defs"]["root"]
    assert not {"definitions", "$schema"} & sent.keys()
    assert "definitions" in schema


def test_nothing_stands_beside_a_reference() -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/A", "description": "d"}}, "$defs": {"A": TEXT}}

    assert ready(schema)["properties"]["a"] == {"description": "d", "anyOf": [{"$ref": "#/$defs/A"}]}


def test_a_root_that_only_refers_is_what_it_refers_to() -> None:
    schema = {"$ref": "#/definitions/A", "$schema": "x", "definitions": {"A": {"type": "object", "properties": {}}}}

    assert ready_object(check_object(schema, "x")) == {
        "type": "object",
        "properties": {},
        "definitions": {"A": {"type": "object", "properties": {}}},
    }


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (None, None),
        ({}, None),
        ({"$schema": "x"}, None),
        ({"type": "object", "properties": {}}, {"type": "object", "properties": {}}),
        ({"properties": {"a": TEXT}}, {"type": "object", "properties": {"a": TEXT}}),
        ({"type": ["object", "null"]}, {"type": "object"}),
    ],
)
def test_arguments_say_that_they_are_an_object(schema: Any, sent: Any) -> None:
    assert ready_object(check_object(schema, "x")) == sent


@settings(max_examples=200)
@given(SCHEMAS)
@example({"items": [{}], "allOf": [{"items": {"type": "string"}}]})
@example({"$schema": "x", "allOf": [{"$schema": "x"}]})
@example({"items": {}, "allOf": [{"items": [{"type": "string"}]}]})
def test_a_ready_schema_stays_as_it_is(schema: Any) -> None:
    once = ready(check(schema, "x"))

    assert ready(check(once, "x")) == once


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {f"D{n}": {"properties": {"a": {"$ref": f"#/$defs/D{n + 1}"}}, "required": ["a"]}
                   for n in range(5000)} | {"D5000": TEXT}, "$ref": "#/$defs/D0"},
        {"properties": {f"p{n}": {"$ref": "#" + "/properties/p%30" * (n > 0)} for n in range(4000)}},
        {"required": ["a"] * 100_000, "properties": {"a": {"required": ["a"] * 100_000, "properties": {"a": TEXT}}}},
        {"anyOf": [{"$ref": "#/anyOf/" + "0" * n} for n in range(2, 2000)]},
        {"properties": {str(n): {"type": "string"} for n in range(200_000)}},
    ],
)  # fmt: skip
def test_hostile_schemas_are_read_in_good_time(schema: Any) -> None:
    began = time.process_time()

    with contextlib.suppress(Invalid):
        ready(check(schema, "x"))

    assert time.process_time() - began < GOOD_TIME
