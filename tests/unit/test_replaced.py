"""The functions of Twisted and Daphne that hajimi_site replaces: when one of them changes, look at ours again."""

from __future__ import annotations

import hashlib
import inspect
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest

from hajimi_site import channel, exchange, server, transport
from hajimi_site.replaced import READ, REPLACED, Replaced, unread

OURS = (transport.Transport, channel.Channel, exchange.Exchange, server.Factory, server.Server)


def found(module: str, name: str) -> Any:
    thing: Any = import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def link_to(function: Any) -> str:
    library = function.__module__.partition(".")[0]
    path = f"{function.__module__.replace('.', '/')}.py#L{inspect.getsourcelines(function)[1]}"
    if library == "twisted":
        return f"https://github.com/twisted/twisted/blob/twisted-{version(library)}/src/{path}"
    return f"https://github.com/django/{library}/blob/{version(library)}/{path}"


@pytest.mark.parametrize("row", REPLACED, ids=lambda row: row.theirs)
def test_what_we_replace_is_still_what_we_have_read(row: Replaced) -> None:
    function = found(*row.theirs.split(":"))

    fingerprint = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]

    assert fingerprint == row.fingerprint, "it has changed upstream: read it, then note its fingerprint"
    assert row.link == link_to(function)


@pytest.mark.parametrize("ours", sorted({row.ours for row in REPLACED}))
def test_what_takes_its_place_is_there(ours: str) -> None:
    module, name = ours.split(":")
    assert found(f"hajimi_site.{module}", name)


def test_every_method_that_overrides_one_of_theirs_is_in_the_table() -> None:
    listed = {row.ours for row in REPLACED}
    overriding = {
        f"{ours.__module__.removeprefix('hajimi_site.')}:{ours.__name__}.{name}"
        for ours in OURS
        for name, method in vars(ours).items()
        if inspect.isfunction(method) and any(inspect.isfunction(vars(base).get(name)) for base in ours.__mro__[1:])
    }
    assert len(overriding) > 25
    assert overriding <= listed


def test_the_locked_versions_are_those_that_were_read() -> None:
    assert unread() == ""


def test_another_version_is_told() -> None:
    installed = dict(READ) | {"daphne": "99.1"}
    assert unread(installed.__getitem__) == f"daphne 99.1 (read: {READ['daphne']})"
