"""The model list as clients see it, through the API's own door."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest

from keys.members import Doorkeeper, MemberView
from keys.models import Key
from keys.pool import ParkRow, PoolKey
from keys.rules import ParkReason
from proxy import catalogue
from proxy.api import ApiHandler, House
from proxy.api_urls import ROUTES
from proxy.behaviour import Behaviour
from proxy.runtime import ModelFacts, Runtime, RuntimeHolder
from proxy.translation.profiles import DEFAULT_CHAT_MODELS, NamePatterns
from tests.gemini import MODELS

NOW = datetime(2026, 8, 22, 12, tzinfo=UTC)
BEARER = {"authorization": "Bearer swordfish"}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


ALICE = MemberView(1, "Alice", digest("swordfish"), None, None, None, None)
KEY = PoolKey(id=1, secret="AIza", tail="x7Qk", kind=Key.Kind.AI_STUDIO, daily_limit=None, disabled=False)


def facts(document: dict[str, Any]) -> ModelFacts:
    name = document["name"].removeprefix("models/")
    return ModelFacts(name, tuple(document["supportedGenerationMethods"]), None, None, document)


def runtime(
    names: Iterable[ModelFacts] = tuple(facts(model.document()) for model in MODELS),
    *,
    blocked: Iterable[str] = (),
    keys: tuple[PoolKey, ...] = (KEY,),
    parks: tuple[ParkRow, ...] = (),
    **behaviour: Any,
) -> Runtime:
    chosen = replace(Behaviour(), **behaviour)
    return Runtime(
        revision=1,
        behaviour=chosen,
        members={ALICE.digest: ALICE},
        keys=keys,
        parks=parks,
        blocked=NamePatterns((*chosen.blocked_models, *blocked)),
        allowed=NamePatterns(chosen.allowed_models) if chosen.allowed_models else None,
        models={one.name: one for one in names},
    )


@asynccontextmanager
async def client(served: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    house = House(RuntimeHolder(served), *[cast(Any, None)] * 3, Doorkeeper(digest), *[cast(Any, None)] * 3, ready=True)
    transport = httpx.ASGITransport(ApiHandler(house, ROUTES))
    async with httpx.AsyncClient(transport=transport, base_url="http://hajimi") as one:
        yield one


async def ids(served: Runtime, path: str = "/v1/models") -> list[str]:
    async with client(served) as one:
        answer = await one.get(path, headers=BEARER)
    assert answer.status_code == 200, answer.text
    return [model["id"] for model in answer.json()["data"]]


async def test_it_lists_chat_models_sorted_in_openais_shape() -> None:
    async with client(runtime()) as one:
        answer = (await one.get("/v1/models", headers=BEARER)).json()

    assert answer["object"] == "list"
    assert answer["data"][0] == {
        "id": "gemini-2.0-flash",
        "object": "model",
        "created": catalogue.CREATED,
        "owned_by": "google",
    }
    shown = [model["id"] for model in answer["data"]]
    assert shown == sorted(shown)
    assert {"gemini-2.5-pro", "gemini-3.5-flash", "gemma-3-27b-it"} <= set(shown)


async def test_it_leaves_out_what_cannot_chat() -> None:
    shown = await ids(runtime())

    assert not {"aqa", "embedding-001", "gemini-embedding-001", "imagen-4.0-generate-001"} & set(shown)


async def test_all_shows_everything_but_what_is_blocked() -> None:
    shown = await ids(runtime(blocked=["imagen-*"]), "/v1/models?all=1")

    assert {"aqa", "embedding-001", "gemini-embedding-001", "gemini-2.5-pro"} <= set(shown)
    assert "imagen-4.0-generate-001" not in shown


@pytest.mark.parametrize("odd", ["antigravity-x", "gemini-1.0-image", "gemini-0-preview-tts", "gemini-1-embedding"])
async def test_what_sorts_before_the_first_common_chat_model_is_not_shown(odd: str) -> None:
    listed = [
        facts({"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]})
        for name in (odd, "gemini-2.0-flash", "gemini-2.5-pro")
    ]

    assert await ids(runtime(listed)) == ["gemini-2.0-flash", "gemini-2.5-pro"]


async def test_blocked_models_are_gone_with_their_twins() -> None:
    shown = await ids(runtime(blocked=["GEMINI-2.5-*"], search_mode=True))

    assert not [name for name in shown if name.startswith("gemini-2.5")]


async def test_allowed_models_are_the_only_ones() -> None:
    assert await ids(runtime(allowed_models=("gemini-2.5-pro", "*-lite"))) == [
        "gemini-2.0-flash-lite",
        "gemini-2.5-flash-lite",
        "gemini-2.5-pro",
        "gemini-3.1-flash-lite",
    ]


async def test_extra_models_are_added() -> None:
    shown = await ids(runtime(extra_models=("gemini-99-secret", "custom")))

    assert {"gemini-99-secret", "custom"} <= set(shown)


async def test_search_twins_are_listed_only_in_search_mode() -> None:
    plain, searching = await ids(runtime()), await ids(runtime(search_mode=True))

    assert not [name for name in plain if name.endswith("-search")]
    twins = {name.removesuffix("-search") for name in searching if name.endswith("-search")}
    assert {"gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.5-flash"} <= twins
    assert not [name for name in twins if "image" in name or "tts" in name or "embedding" in name or "gemma" in name]


async def test_the_well_known_models_stand_in_until_a_list_was_fetched() -> None:
    assert await ids(runtime(())) == list(DEFAULT_CHAT_MODELS)


async def test_a_model_that_no_key_is_offered_is_not_shown() -> None:
    def park(key_id: int, model: str) -> ParkRow:
        return ParkRow(key_id, model, ParkReason.NOT_OFFERED, NOW, "", NOW)

    keys = (KEY, replace(KEY, id=2), replace(KEY, id=3, disabled=True))
    parks = (park(1, "gemini-2.5-pro"), park(2, "gemini-2.5-pro"), park(1, "gemini-2.5-flash"))

    shown = await ids(runtime(keys=keys, parks=parks))

    assert "gemini-2.5-pro" not in shown
    assert "gemini-2.5-flash" in shown


@pytest.mark.parametrize("keys", [(), (replace(KEY, disabled=True),)])
async def test_without_a_usable_key_it_says_where_to_add_one(keys: tuple[PoolKey, ...]) -> None:
    async with client(runtime(keys=keys)) as one:
        answer = await one.get("/v1/models", headers=BEARER)

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "no_keys"
    assert "/admin/" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gemini-2.5-pro"])
async def test_a_password_is_needed(path: str) -> None:
    async with client(runtime()) as one:
        answer = await one.get(path, headers={"authorization": "Bearer wrong"})

    assert answer.status_code == 401


async def test_google_clients_read_googles_shape() -> None:
    async with client(runtime(search_mode=True)) as one:
        answers = [
            await one.get("/v1/models", headers={"x-goog-api-key": "swordfish"}),
            await one.get("/v1/models?key=swordfish"),
            await one.get("/v1beta/models", headers=BEARER),
        ]

    for answer in answers:
        by_name = {model["name"]: model for model in answer.json()["models"]}
        assert by_name["models/gemini-2.5-pro"]["supportedGenerationMethods"][0] == "generateContent"
        assert by_name["models/gemini-2.5-pro-search"]["inputTokenLimit"] == 1_048_576


async def test_a_platforms_bearer_beside_googles_header_means_openai() -> None:
    async with client(runtime()) as one:
        answer = await one.get("/v1/models", headers={"x-goog-api-key": "swordfish", "authorization": "Bearer hf"})

    assert answer.json()["object"] == "list"


async def test_anthropic_clients_read_anthropics_shape() -> None:
    async with client(runtime()) as one:
        answer = await one.get("/v1/models", headers={"x-api-key": "swordfish", "anthropic-version": "2023-06-01"})

    document = answer.json()
    assert document["data"][0] | {"created_at": ""} == {
        "type": "model",
        "id": "gemini-2.0-flash",
        "display_name": "Gemini 2.0 Flash",
        "created_at": "",
    }
    assert (document["first_id"], document["has_more"]) == ("gemini-2.0-flash", False)


@pytest.mark.parametrize("asked", ["gemini-2.5-pro", "Gemini-2.5-Pro-thinking-low", "gemini-embedding-001", "extra-x"])
async def test_one_model_is_described(asked: str) -> None:
    async with client(runtime(extra_models=("extra-x",))) as one:
        answer = await one.get(f"/v1/models/{asked}", headers=BEARER)

    assert answer.json()["id"] == asked


@pytest.mark.parametrize("asked", ["gpt-4", "gemini-2.5-flash", "models/Gemini-2.5-Flash-search"])
async def test_an_unknown_or_blocked_model_is_not_found(asked: str) -> None:
    async with client(runtime(blocked=["gemini-2.5-flash"])) as one:
        answer = await one.get(f"/v1/models/{asked}", headers=BEARER)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


async def test_a_swapped_runtime_is_listed_at_once() -> None:
    assert "gemini-2.5-pro" in await ids(runtime())
    assert "gemini-2.5-pro" not in await ids(runtime(blocked=["gemini-2.5-pro"]))


async def test_one_model_reads_in_googles_words_for_googles_clients() -> None:
    async with client(runtime(())) as one:
        answer = await one.get("/v1beta/models/gemini-2.5-pro", headers={"x-goog-api-key": "swordfish"})

    assert answer.json()["name"] == "models/gemini-2.5-pro"
    assert "generateContent" in answer.json()["supportedGenerationMethods"]
