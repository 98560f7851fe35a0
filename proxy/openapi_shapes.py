"""What the shapes of an OpenAPI 3.1 description are made of. Pure."""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": ["boolean", "null"]}
MODEL: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "description": "A model of GET /v1/models, aliases like -search and -thinking-low included.",
    "examples": ["gemini-2.5-flash"],
}


def named(name: str) -> Schema:
    """Return a reference to the shape of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: list[str], /, **properties: Schema) -> Schema:
    """Return the shape of an object, which may have further fields."""
    return {"type": "object", "properties": properties, "required": required}


def many(items: Schema, **limits: Any) -> Schema:
    """Return the shape of a list."""
    return {"type": "array", "items": items, **limits}


def choice(*words: str) -> Schema:
    """Return the shape of a text that is one of these."""
    return {"type": "string", "enum": list(words)}


def between(least: float, most: float) -> Schema:
    """Return the shape of a number between two, or unset."""
    return {"type": ["number", "null"], "minimum": least, "maximum": most}


def whole(least: int, most: int | None = None) -> Schema:
    """Return the shape of a whole number of at least ``least`` and at most ``most``, or unset."""
    shape: Schema = {"type": ["integer", "null"], "minimum": least}
    return shape if most is None else shape | {"maximum": most}


def optional(shape: Schema) -> Schema:
    """Return the shape of something that may be null, which is the same as unset."""
    return {"anyOf": [{"type": "null"}, shape]}
