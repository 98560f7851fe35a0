"""Hypothesis strategies: any JSON, and JSON that is nearly what a dialect's requests are made of."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from proxy.translation.chat import Chat
from proxy.translation.invalid import Invalid

# Half surrogate pairs, NaN and numbers of any size on purpose.
TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just(10**4000)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
WORDS = st.sampled_from(
    [
        *("text", "image", "user", "assistant", "auto", "tool", "any", "function", "enabled", "low", "json_schema"),
        *("data:image/png;base64,AAAA", "data:", "https://x.y/z", "http://[", "AAAA", "files/a", "", "image/png"),
    ]
)
NEAR = JSON | WORDS


def objects(*names: str, of: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with some of these names."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, of))


@st.composite
def spoiled(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> Any:
    """Return a document in order, in one place of which something else stands."""
    document = deepcopy(draw(documents))
    node = document
    for _ in range(draw(st.integers(0, 5))):
        inner = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not inner:
            break
        name = draw(st.sampled_from(inner))
        if not isinstance(node[name], dict | list) or draw(st.integers(0, 3)) == 0:
            node[name] = draw(NEAR)
            break
        node = node[name]
    return document


def deep(levels: int, leaf: Any) -> Any:
    """Return ``leaf`` inside that many lists and objects."""
    for _ in range(levels):
        leaf = [{"content": leaf}]
    return leaf


def reads(parse: Callable[[Any], Chat], document: Any) -> bool:
    """Return whether ``document`` is read; a refusal must be one that can be sent, with a place of ours."""
    refused: Invalid | None = None
    try:
        assert isinstance(parse(document), Chat)
    except Invalid as error:
        refused = error
    if refused is None:
        return True
    assert str(refused).encode()
    assert refused.param is None or refused.param.isascii()
    return False
