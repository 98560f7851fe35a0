"""What holds for a member: its own limits, its group's where those are empty, else everybody's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keys.members import MemberView, Own
from keys.models import Group, Member, ModelLimit
from proxy import membership, runtime
from proxy.models import BlockedModel, Settings
from proxy.runtime import Runtime
from tests.databases import database

FRIENDS = {"requests_per_day": 50, "parallel_requests": 2, "allowed_models": "gemini-2.5-*", "random_string": False}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), database("sqlite", tmp_path):
        yield


def friends(**fields: Any) -> Group:
    return Group.objects.create(name="friends", **{**FRIENDS, **fields})


def view_of(**fields: Any) -> MemberView:
    Member.objects.create(name="Anna", digest="anna", **fields)
    return membership.by_digest()["anna"]


def runtime_of(member: MemberView) -> Runtime:
    loaded = runtime.load()
    return loaded.for_own(member.own) if member.own else loaded


def served(member: MemberView, *models: str) -> list[str]:
    its = runtime_of(member)
    return [one for one in models if not its.blocked.matches(one) and (its.allowed is None or its.allowed.matches(one))]


def test_what_is_empty_is_the_group_s_and_what_is_filled_is_the_member_s_own() -> None:
    member = view_of(group=friends(), requests_per_day=0, fake_streaming=True)

    assert (member.requests_per_day, member.parallel_requests, member.tokens_per_day) == (0, 2, None)
    assert member.own == Own(allowed_models=("gemini-2.5-*",), fake_streaming=True, random_string=False)
    behaviour = runtime_of(member).behaviour
    assert (behaviour.fake_streaming, behaviour.random_string) == (True, False)


def test_a_member_with_nothing_of_its_own_runs_with_everybody_s_runtime() -> None:
    member = view_of(requests_per_day=5)

    assert member.own is None
    assert member.model_limits == ()


def test_members_with_equal_settings_share_one_runtime() -> None:
    group = friends()
    anna = view_of(group=group)
    Member.objects.create(name="Ben", digest="ben", group=group)
    loaded, ben = runtime.load(), membership.by_digest()["ben"]

    assert anna.own
    assert ben.own
    assert loaded.for_own(anna.own) is loaded.for_own(ben.own) is not loaded
    assert loaded.for_own(anna.own).members is loaded.members


def test_what_is_blocked_or_not_allowed_for_all_is_so_for_each_member_too() -> None:
    BlockedModel.objects.create(pattern="gemini-2.5-pro")
    Settings.objects.update(allowed_models="gemini-2.*")

    member = view_of(allowed_models="gemini-*", blocked_models="gemini-2.0-*")

    models = (
        "gemini-2.5-pro",
        "gemini-2.5-flash",
        "gemini-2.0-flash",
        "gemini-3-pro",
        "Models/Gemini-2.5-Flash-search",
    )
    assert served(member, *models) == ["gemini-2.5-flash", "Models/Gemini-2.5-Flash-search"]


def test_a_member_may_be_freed_from_its_group_s_lists() -> None:
    member = view_of(group=friends(blocked_models="gemini-3-*"), allowed_models="*", blocked_models="-")

    assert served(member, "gemini-3-pro", "gemma-3-27b-it") == ["gemini-3-pro", "gemma-3-27b-it"]


def test_limits_for_models_join_the_group_s_and_win_field_by_field() -> None:
    group = friends()
    ModelLimit.objects.create(group=group, pattern="Gemini-*-Pro", requests_per_day=10, tokens_per_day=500)
    ModelLimit.objects.create(group=group, pattern="gemma-*", requests_per_minute=1)
    member = Member.objects.create(name="Anna", digest="anna", group=group)
    ModelLimit.objects.create(member=member, pattern="models/gemini-*-pro", requests_per_day=99)
    ModelLimit.objects.create(member=member, pattern="gemma-*", requests_per_minute=0)

    [limit] = membership.by_digest()["anna"].model_limits

    assert (limit.pattern, limit.requests_per_day, limit.tokens_per_day) == ("gemini-*-pro", 99, 500)
    assert limit.covers("gemini-2.5-pro")
    assert not limit.covers("gemini-2.5-pro-preview")


def test_disabled_members_are_left_out_and_expiry_goes_along() -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    assert view_of(expires_at=end).expires_at == end

    Member.objects.update(enabled=False)

    assert membership.by_digest() == {}
