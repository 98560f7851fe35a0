"""How much a model shall think, in the words of its family, and the room its thoughts take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from proxy.translation.families import LEVELS, Level, Profile
from proxy.translation.profiles import Resolved
from proxy.translation.turns import Chat

# Google's own table for reasoning_effort: ai.google.dev/gemini-api/docs/openai#thinking
_BUDGETS: Final[dict[str, int]] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
_STRONGER: Final = {"xhigh": "high", "max": "high"}

# maxOutputTokens counts thoughts too, so a small max_tokens would be spent before any text: generous, since
# room that is not used costs nothing.
_ROOM: Final[dict[Level, int]] = {"minimal": 4096, "low": 8192, "medium": 16_384, "high": 32_768}
# Models overrun the budget they are given by some tokens.
_BUDGET_SLACK: Final = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """``config`` is the thinkingConfig to send (empty: none); ``room`` the tokens that thoughts may take."""

    config: dict[str, Any]
    room: int


def plan(chat: Chat, resolved: Resolved) -> Plan:
    """Decide how the model thinks about this chat."""
    profile = resolved.profile
    if profile.thinking == "none":
        return Plan({}, _default_room(profile))
    wish = _wish(chat, resolved)
    if profile.thinking == "budget":
        config, room = _by_budget(profile, wish)
    else:
        config, room = _by_level(profile, wish)
    include = chat.include_thoughts
    if include is None:
        include = profile.thoughts_included and wish not in ("none", 0)
    # Without thoughts there is nothing to include, and Vertex refuses the wish.
    if include and room:
        config = {"includeThoughts": True, **config}
    return Plan(config, room)


def output_limit(asked: int | None, room: int, limit: int) -> int | None:
    """Return maxOutputTokens: the text that was asked for and room for thoughts, within the model's limit."""
    return None if asked is None else min(asked + room, limit)


def _wish(chat: Chat, resolved: Resolved) -> int | str | None:
    """Return what the client wants: a budget, a level, "none", or None when it did not say.

    A thinking config is the most particular wish; an alias was chosen for this chat; reasoning_effort is
    often sent by clients on their own.
    """
    exact: list[int | str | None] = [chat.thinking_budget, chat.thinking_level]
    if resolved.profile.thinking == "level":
        exact.reverse()
    for wish in (*exact, resolved.thinking, chat.reasoning_effort):
        if wish is not None:
            return _STRONGER.get(wish, wish) if isinstance(wish, str) else wish
    return None


def _by_budget(profile: Profile, wish: int | str | None) -> tuple[dict[str, Any], int]:
    if wish is None:
        return {}, _default_room(profile)
    budget = _budget(profile, wish)
    if budget == -1:
        return {"thinkingBudget": -1}, profile.most_budget
    return {"thinkingBudget": budget}, budget + _BUDGET_SLACK if budget else 0


def _budget(profile: Profile, wish: int | str) -> int:
    budget = _BUDGETS.get(wish, 0) if isinstance(wish, str) else wish
    if budget == 0:
        return profile.off_budget
    return budget if budget == -1 else min(max(budget, profile.least_budget), profile.most_budget)


def _by_level(profile: Profile, wish: int | str | None) -> tuple[dict[str, Any], int]:
    word = _word(wish) if isinstance(wish, int) else wish
    if word is None:
        return {}, _default_room(profile)
    level = _nearest(profile, word)
    return {"thinkingLevel": level}, _ROOM[level]


def _word(budget: int) -> str | None:
    """Return the effort that Google's table gives this budget; None for -1, the model's own choice."""
    if budget == -1:
        return None
    if budget == 0:
        return "none"
    return next((word for word in ("low", "medium") if budget <= _BUDGETS[word]), "high")


def _nearest(profile: Profile, word: str) -> Level:
    """Return the family's level nearest to ``word``, the higher of two; "none" is its lowest."""
    if word not in LEVELS:
        return profile.levels[0]
    wanted = LEVELS.index(word)
    return min(profile.levels, key=lambda level: (abs(LEVELS.index(level) - wanted), -LEVELS.index(level)))


def _default_room(profile: Profile) -> int:
    """Return the room for what the model thinks unasked."""
    if profile.default_level is None:
        return 0
    return profile.most_budget if profile.thinking == "budget" else _ROOM[profile.default_level]
