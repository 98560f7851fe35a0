"""Which models are shown to people, in which order, and how three kinds of clients read about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from keys.rules import ParkReason
from proxy.runtime import Runtime
from proxy.translation.profiles import DEFAULT_CHAT_MODELS, VERTEX_MODELS, Resolved, is_listed, resolve
from proxy.upstream.ways import AI_STUDIO

# Google tells no date; OpenAI's and Anthropic's clients want one.
CREATED: Final = 1_735_689_600
CREATED_AT: Final = "2025-01-01T00:00:00Z"
SANE_FIRST: Final = "gemini-"
CHAT_METHODS: Final = ("generateContent", "countTokens", "streamGenerateContent")


def names(runtime: Runtime, *, everything: bool = False) -> tuple[str, ...]:
    """Return the model ids to list, sorted by name: chat models, or with ``everything`` all that Google lists.

    Clients that sort by name begin with the first one, so nothing that sorts before the first common chat
    model is shown, except what the admin has added. Before Google's first list the well-known models stand in.
    """
    added = set(runtime.behaviour.extra_models)
    listed = {name for name in _upstream(runtime, everything=everything) if _is_allowed(runtime, name)}
    if not everything:
        listed -= _not_offered(runtime)
        listed = _from_first_sane(listed)
    shown = {name for name in listed | added if _is_allowed(runtime, name)}
    if runtime.behaviour.search_mode:
        shown |= {f"{name}-search" for name in shown if _has_search_twin(resolve(name))}
    return tuple(sorted(name for name in shown if not runtime.blocked.matches(name)))


def knows(runtime: Runtime, asked: str) -> bool:
    """Tell whether a model, as a client may write it, is one of ours: listed by Google, added, and not blocked."""
    name = resolve(asked).name
    known = name in runtime.models or name in runtime.behaviour.extra_models or name in _known_by_profile(runtime)
    return known and _is_allowed(runtime, asked)


def openai_list(runtime: Runtime, *, everything: bool) -> dict[str, Any]:
    """Return the list as OpenAI's clients read it."""
    return {"object": "list", "data": [openai_model(name) for name in names(runtime, everything=everything)]}


def openai_model(name: str) -> dict[str, Any]:
    """Return one model as OpenAI's clients read it."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "google"}


def anthropic_list(runtime: Runtime, *, everything: bool) -> dict[str, Any]:
    """Return the list as Anthropic's clients read it, in one page."""
    models = [anthropic_model(runtime, name) for name in names(runtime, everything=everything)]
    ends = (models[0]["id"], models[-1]["id"]) if models else (None, None)
    return {"data": models, "has_more": False, "first_id": ends[0], "last_id": ends[1]}


def anthropic_model(runtime: Runtime, name: str) -> dict[str, Any]:
    """Return one model as Anthropic's clients read it."""
    facts = runtime.models.get(resolve(name).name)
    title = facts.description.get("displayName") if facts else None
    return {"type": "model", "id": name, "display_name": title or name, "created_at": CREATED_AT}


def google_list(runtime: Runtime, *, everything: bool) -> dict[str, Any]:
    """Return the list as Google's clients read it, in one page."""
    return {"models": [google_model(runtime, name) for name in names(runtime, everything=everything)]}


def google_model(runtime: Runtime, name: str) -> dict[str, Any]:
    """Return one model as Google described it, under the name it is asked for here."""
    facts = runtime.models.get(resolve(name).name)
    described = facts.description if facts else _stand_in(name)
    return {**described, "name": f"models/{name}"}


def _stand_in(name: str) -> dict[str, Any]:
    most = resolve(name).profile.max_output_tokens
    return {"displayName": name, "outputTokenLimit": most, "supportedGenerationMethods": list(CHAT_METHODS)}


def _upstream(runtime: Runtime, *, everything: bool) -> Iterator[str]:
    yield from _known_by_profile(runtime)
    for facts in runtime.models.values():
        if everything or is_listed(facts.name, facts.methods):
            yield facts.name


def _known_by_profile(runtime: Runtime) -> tuple[str, ...]:
    """Return the models that stand in for Google's list: Vertex AI has none, AI Studio's takes a while."""
    kinds = {key.kind for key in runtime.keys if not key.disabled}
    on_vertex = VERTEX_MODELS if kinds - {AI_STUDIO} else ()
    if runtime.models or (kinds and AI_STUDIO not in kinds):
        return on_vertex
    return tuple({*DEFAULT_CHAT_MODELS, *on_vertex})


def _is_allowed(runtime: Runtime, name: str) -> bool:
    return not runtime.blocked.matches(name) and (runtime.allowed is None or runtime.allowed.matches(name))


def _not_offered(runtime: Runtime) -> set[str]:
    """Return the models that every enabled key has found out it may not use."""
    enabled = {key.id for key in runtime.keys if not key.disabled}
    parks = (park for park in runtime.parks if park.reason is ParkReason.NOT_OFFERED and park.key_id in enabled)
    counts = Counter(park.model for park in parks)
    return {model for model, count in counts.items() if model and count >= len(enabled)}


def _from_first_sane(listed: set[str]) -> set[str]:
    first = min((name for name in listed if _is_sane_first(name)), default="")
    return {name for name in listed if name >= first}


def _is_sane_first(name: str) -> bool:
    profile = resolve(name).profile
    is_plain = not (profile.is_image or profile.is_tts or profile.is_embedding)
    return name.startswith(SANE_FIRST) and profile.is_chat and is_plain


def _has_search_twin(resolved: Resolved) -> bool:
    profile = resolved.profile
    makes_text = profile.is_chat and not (profile.is_image or profile.is_tts or profile.is_embedding)
    return makes_text and profile.search and not resolved.search
