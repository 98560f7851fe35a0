"""Who may import whom. The rooms, from the ground up; docs/architecture.md draws the same picture."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hajimi_site", "proxy", "keys")

# A module belongs to the room with its longest prefix. It may import its own room and those below.
ROOMS: Mapping[str, tuple[str, ...]] = {
    "pure": (
        "keys",
        "keys.changes",
        "keys.headroom",
        "keys.ledger",
        "keys.ledger.windows",
        "keys.masking",
        "keys.places",
        "keys.redacting",
        "keys.rules",
        "keys.standing",
        "proxy",
        "proxy.behaviour",
        "proxy.breaker",
        "proxy.cors",
        "proxy.openapi",
        "proxy.openapi_dialects",
        "proxy.openapi_schemas",
        "proxy.openapi_shapes",
        "proxy.paths",
        "proxy.request_id",
        "proxy.retry",
        "proxy.sse",
        "proxy.translation",
        "proxy.unsaid",
    ),
    "keys": (
        "keys.accounts",
        "keys.bootstrap",
        "keys.enrolling",
        "keys.importing",
        "keys.lanes",
        "keys.ledger.line",
        "keys.ledger.memory",
        "keys.ledger.redis",
        "keys.ledger.scripts",
        "keys.ledger.sheltered",
        "keys.limits",
        "keys.members",
        "keys.models",
        "keys.pool",
        "keys.switching",
        "keys.turns",
        "keys.vault",
    ),
    "state and wire": (
        "proxy.catalogue",
        "proxy.catalogue",
        "proxy.errors",
        "proxy.fetching",
        "proxy.journal",
        "proxy.journal_rows",
        "proxy.live",
        "proxy.membership",
        "proxy.models",
        "proxy.probe",
        "proxy.recount",
        "proxy.recording",
        "proxy.refusals",
        "proxy.retention",
        "proxy.revision",
        "proxy.runtime",
        "proxy.signatures",
        "proxy.upstream",
    ),
    "conductor": (
        "proxy.admission",
        "proxy.ask",
        "proxy.attempts",
        "proxy.chorus",
        "proxy.deadline",
        "proxy.lender",
        "proxy.relay",
        "proxy.settlement",
        "proxy.voice",
    ),
    "doors": (
        "keys.admin",
        "keys.apps",
        "keys.management",
        "proxy.admin",
        "proxy.api",
        "proxy.api_answers",
        "proxy.api_call",
        "proxy.api_request",
        "proxy.api_urls",
        "proxy.apps",
        "proxy.chats",
        "proxy.dashboard",
        "proxy.desk",
        "proxy.heartbeat",
        "proxy.large",
        "proxy.management",
        "proxy.mine",
        "proxy.routing",
        "proxy.templatetags",
        "proxy.views",
    ),
    "site": ("hajimi_site",),
}
HEIGHT = {room: height for height, room in enumerate(ROOMS)}

# The pure room: the standard library without its clocks and its ways out, and two quick JSON readers.
PURE_LIBRARIES = frozenset({"msgspec", "orjson"})
CLOCKS_AND_WAYS_OUT = frozenset(
    {"asyncio", "http", "io", "logging", "os", "pathlib", "socket", "sqlite3", "ssl", "subprocess", "tempfile"}
    | {"threading", "time", "urllib"}
)
PURE_PIECES = frozenset({"urllib.parse"})
CLOCK_READINGS = frozenset({"now", "utcnow", "today", "monotonic", "perf_counter"})

# What serves an API request runs on memory: rows are read by the runtime and written by the journal.
ON_THE_API_PATH = (
    *("keys.lanes", "keys.ledger", "keys.members", "keys.pool", "keys.turns"),
    *(
        "proxy.admission",
        "proxy.ask",
        "proxy.attempts",
        "proxy.breaker",
        "proxy.chorus",
        "proxy.lender",
        "proxy.relay",
        "proxy.settlement",
        "proxy.voice",
    ),
    *(
        "proxy.api",
        "proxy.api_answers",
        "proxy.api_call",
        "proxy.api_request",
        "proxy.chats",
        "proxy.heartbeat",
        "proxy.live",
        "proxy.routing",
    ),
    *("proxy.upstream", "proxy.views"),
)
ROWS = ("keys.models", "proxy.models", "django.db")


def room_of(module: str) -> str | None:
    """Return the room of ``module``, or None when the table lacks it. Bare packages cover only themselves."""
    best: tuple[int, str] | None = None
    for room, prefixes in ROOMS.items():
        for prefix in prefixes:
            covers = module == prefix or (prefix not in ("keys", "proxy") and module.startswith(prefix + "."))
            if covers and (best is None or len(prefix) > best[0]):
                best = (len(prefix), room)
    return best[1] if best else None


def imports(source: str) -> Iterator[str]:
    """Yield every imported name, wherever the import stands: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


def begins(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@cache
def modules() -> Mapping[str, str]:
    """Return the source of every module of ours, by its dotted name."""
    found = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "migrations" not in parts:
            found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def target(name: str) -> str | None:
    """Return the module of ours that ``name`` lies in, or None for a library's."""
    if name.split(".")[0] not in PACKAGES:
        return None
    while name not in modules() and "." in name:
        name = name.rpartition(".")[0]
    return name


def violations(module: str, source: str) -> list[str]:
    """Return a sentence for each import of ``module`` that the house forbids."""
    here = room_of(module)
    if here is None:
        return [f"{module} stands in no room of the table"]
    found = [reason for name in imports(source) for reason in faults(module, here, name)]
    if here == "pure":
        found += [f"{module} reads the clock ({call})" for call in clock_readings(source)]
    return found


def faults(module: str, here: str, name: str) -> Iterator[str]:
    if name.startswith("."):
        yield f"{module} imports {name} relatively"
    if begins(name, ("tests", "bench")):
        yield f"{module} imports {name}, which is no part of the product"
    if begins(module, ("keys",)) and begins(name, ("proxy", "hajimi_site")):
        yield f"{module} imports {name}, but keys knows nothing above it"
    if begins(module, ON_THE_API_PATH) and begins(name, ROWS):
        yield f"{module} imports {name}, but the API path makes no ORM call"
    if name.split(".")[0] in PACKAGES:
        there = room_of(name)
        if there is not None and HEIGHT[there] > HEIGHT[here]:
            yield f"{module} ({here}) imports {name} ({there})"
    elif here == "pure" and not is_pure(name):
        yield f"{module} is pure and imports {name}"


def is_pure(name: str) -> bool:
    top = name.split(".")[0]
    if begins(name, tuple(PURE_PIECES)):
        return True
    return top in PURE_LIBRARIES or (top in sys.stdlib_module_names and top not in CLOCKS_AND_WAYS_OUT)


def clock_readings(source: str) -> list[str]:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [
        ast.unparse(call.func)
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in CLOCK_READINGS
    ]


def test_every_module_imports_only_what_its_room_allows() -> None:
    found = [sentence for module, source in modules().items() for sentence in violations(module, source)]

    assert found == []


def at_run_time(source: str) -> str:
    """Return ``source`` without what stands under ``if TYPE_CHECKING``: names for annotations tie no knot."""

    class Strip(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST:
            return ast.Pass() if ast.unparse(node.test) == "TYPE_CHECKING" else node

    return ast.unparse(Strip().visit(ast.parse(source)))


def test_no_two_modules_import_each_other() -> None:
    graph = {module: {target(name) for name in imports(at_run_time(source))} for module, source in modules().items()}
    arrows = {module: {there for there in goals if there and there != module} for module, goals in graph.items()}

    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_the_table_names_no_room_that_stands_empty() -> None:
    empty = [
        prefix for prefixes in ROOMS.values() for prefix in prefixes if not any(begins(m, (prefix,)) for m in modules())
    ]

    assert empty == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("keys.pool", "from proxy import errors"),
        ("keys.pool", "def f():\n    import proxy.runtime"),
        ("keys.pool", "if TYPE_CHECKING:\n    from proxy.runtime import Runtime"),
        ("keys.pool", "from keys.models import Key"),
        ("keys.models", "from keys import admin"),
        ("keys.models", "from . import pool"),
        ("proxy.translation.chat", "import django"),
        ("proxy.translation.chat", "from django.utils.translation import gettext"),
        ("proxy.translation.chat", "import httpx"),
        ("proxy.translation.chat", "import time"),
        ("proxy.translation.chat", "from urllib.request import urlopen"),
        ("proxy.translation.chat", "from proxy.models import Settings"),
        ("proxy.translation.chat", "from datetime import datetime\ndatetime.now()"),
        ("keys.rules", "from keys.pool import Pool"),
        ("proxy.runtime", "from proxy.relay import relay"),
        ("proxy.relay", "from proxy.views.openai import chat_completions"),
        ("proxy.relay", "def f():\n    from django.db import connection"),
        ("proxy.views.openai", "from proxy.models import RequestLog"),
        ("proxy.views.openai", "from hajimi_site.server import Server"),
        ("proxy.api", "from tests.gemini import FakeGemini"),
        ("proxy.somewhere_new", ""),
    ],
)
def test_it_catches_a_forbidden_import(module: str, source: str) -> None:
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("proxy.translation.chat", "import orjson\nfrom urllib.parse import unquote\nfrom keys.rules import Outcome"),
        ("proxy.relay", "from keys.pool import Pool\nfrom proxy.translation.reply import Translator"),
        ("hajimi_site.server", "from proxy import api"),
        ("keys.admin", "from keys.models import Key\nfrom django.db import models"),
    ],
)
def test_it_allows_what_lies_below(module: str, source: str) -> None:
    assert violations(module, source) == []
