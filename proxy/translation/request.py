"""Chat -> the body of generateContent, as the model's family takes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from proxy.translation import thinking
from proxy.translation.contents import contents_of, last_user_parts
from proxy.translation.families import Profile
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.profiles import Resolved
from proxy.translation.turns import Chat

# CIVIC_INTEGRITY is deprecated, and some models refuse it: ai.google.dev/gemini-api/docs/safety-settings
_CATEGORIES: Final = (
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
)
# Gemini's range is [-2, 2), OpenAI's has its upper end.
_MOST_PENALTY: Final = 1.99
_SEED_BITS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the installation adds to a request.

    ``random_string`` goes in front of the last user turn as it is; ``search_prompt`` behind it when the model
    searches; ``output_token_limit`` is the model's own as Google lists it (None: the profile's).
    """

    random_string: str | None = None
    search_prompt: str = ""
    output_token_limit: int | None = None


def build(chat: Chat, resolved: Resolved, options: Options) -> dict[str, Any]:
    """Return the body that goes upstream; Invalid where the model can not do what is asked."""
    profile = resolved.profile
    if not (profile.is_chat or profile.is_image) or profile.family == "imagen":
        raise Invalid(_('The model "%(model)s" cannot chat.'), {"model": shown(resolved.asked)}, param="model")
    searches = _searches(chat, resolved)
    cached = chat.cached_content is not None
    system, contents = contents_of(chat.messages, profile, system_instruction=profile.system_instruction and not cached)
    if searches and options.search_prompt:
        last_user_parts(contents).append({"text": options.search_prompt})
    if options.random_string and not searches:
        last_user_parts(contents).insert(0, {"text": options.random_string})
    body: dict[str, Any] = {"contents": contents, "safetySettings": _safety_settings(chat, profile)}
    if system:
        body["systemInstruction"] = {"parts": system}
    if searches:
        body["tools"] = [{"googleSearch": {}}]
    if cached:
        body["cachedContent"] = chat.cached_content
    if config := _generation_config(chat, resolved, options):
        body["generationConfig"] = config
    return body


def _searches(chat: Chat, resolved: Resolved) -> bool:
    """Return whether the model shall search the web; refuse what can not be searched with."""
    if not (chat.web_search or resolved.search):
        return False
    param = "model" if resolved.search else "web_search_options"
    if not resolved.profile.search:
        raise Invalid(_('The model "%(model)s" cannot search the web.'), {"model": shown(resolved.name)}, param=param)
    if chat.cached_content is not None:
        raise Invalid(_("Web search does not go together with cached content."), param=param)
    return True


def _safety_settings(chat: Chat, profile: Profile) -> list[dict[str, Any]]:
    if chat.safety_settings is not None:
        return [dict(setting) for setting in chat.safety_settings]
    return [{"category": category, "threshold": profile.safety_off} for category in _CATEGORIES]


def _generation_config(chat: Chat, resolved: Resolved, options: Options) -> dict[str, Any]:
    profile = resolved.profile
    plan = thinking.plan(chat, resolved)
    limit = options.output_token_limit or profile.max_output_tokens
    config = {
        **_sampling(chat, profile),
        **_penalties(chat, profile),
        **_logprobs(chat, profile),
        "maxOutputTokens": thinking.output_limit(chat.max_tokens, plan.room, limit),
        "stopSequences": list(chat.stop) or None,
        "seed": None if chat.seed is None else chat.seed & _SEED_BITS,
        "thinkingConfig": plan.config or None,
        "responseModalities": ["TEXT", "IMAGE"] if profile.is_image else None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _sampling(chat: Chat, profile: Profile) -> dict[str, Any]:
    if not profile.sampling:
        return {}
    return {"temperature": chat.temperature, "topP": chat.top_p, "topK": chat.top_k}


def _penalties(chat: Chat, profile: Profile) -> dict[str, Any]:
    if not profile.penalties:
        return {}
    asked = {"frequencyPenalty": chat.frequency_penalty, "presencePenalty": chat.presence_penalty}
    return {name: min(value, _MOST_PENALTY) for name, value in asked.items() if value}


def _logprobs(chat: Chat, profile: Profile) -> dict[str, Any]:
    if not (profile.logprobs and chat.logprobs):
        return {}
    return {"responseLogprobs": True, "logprobs": chat.top_logprobs or None}
