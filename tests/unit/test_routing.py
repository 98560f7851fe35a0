"""Patterns of addresses."""

from __future__ import annotations

import pytest

from proxy.routing import Table

PATTERNS = ("/v1/models", "/v1/models/{model}:{verb}", "/v1/models/{name}", "/v1/a.b", "/v1/{kind}/of/{name}")
TABLE = Table({pattern: {"GET": pattern} for pattern in PATTERNS})


@pytest.mark.parametrize(
    ("path", "pattern", "arguments"),
    [
        ("/v1/models", "/v1/models", {}),
        ("/v1/models/x", "/v1/models/{name}", {"name": "x"}),
        ("/v1/models/models/x", "/v1/models/{name}", {"name": "models/x"}),
        ("/v1/models/x:generateContent", "/v1/models/{model}:{verb}", {"model": "x", "verb": "generateContent"}),
        ("/v1/models/a:b:countTokens", "/v1/models/{model}:{verb}", {"model": "a:b", "verb": "countTokens"}),
        ("/v1/a.b", "/v1/a.b", {}),
        ("/v1/files/of/ann", "/v1/{kind}/of/{name}", {"kind": "files", "name": "ann"}),
    ],
)
def test_it_finds_the_views_and_what_the_places_stand_for(path, pattern, arguments):
    assert TABLE.find(path) == ({"GET": pattern}, arguments)


@pytest.mark.parametrize("path", ["/v1/model", "/v1/aXb", "/v1/models/", "/v1/models/x:", "/", ""])
def test_it_finds_nothing_elsewhere(path):
    assert TABLE.find(path) is None
