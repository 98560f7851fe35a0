"""Chat -> the body of generateContent, as the model's family takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.translation import functions, modalities, served, structured, thinking
from proxy.translation.contents import Content, Told, contents_of, last_user_parts
from proxy.translation.families import Profile
from proxy.translation.functions import Plan
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.profiles import Resolved
from proxy.translation.turns import Chat, ToolCall

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
    searches; ``output_token_limit`` is the model's own as Google lists it (None: the profile's). ``signatures`` are
    the thought signatures that were kept for the calls of ``call_ids``, and more that was kept by ``served.keys``.
    """

    random_string: str | None = None
    search_prompt: str = ""
    output_token_limit: int | None = None
    signatures: Mapping[str, str] = field(default_factory=dict)


def call_ids(chat: Chat) -> list[str]:
    """Return the ids of the calls whose signatures the client did not bring back, each once."""
    parts = (part for message in chat.messages for part in message.parts)
    calls = (part for part in parts if isinstance(part, ToolCall) and part.signature is None)
    return list(dict.fromkeys(call.id for call in calls if call.id))


def tool_names(chat: Chat) -> dict[str, str]:
    """Return the client's name of each function by the name under which Gemini knows it, and calls it."""
    return {legal: original for original, legal in functions.legal_names(chat).items()}


def build(chat: Chat, resolved: Resolved, options: Options) -> dict[str, Any]:
    """Return the body that goes upstream; Invalid where the model can not do what is asked."""
    profile = resolved.profile
    if not (profile.is_chat or profile.is_image or profile.is_tts) or profile.family == "imagen":
        raise Invalid(_('The model "%(model)s" cannot chat.'), {"model": shown(resolved.asked)}, param="model")
    plan = functions.plan(chat, resolved)
    names = functions.legal_names(chat)
    cached = chat.cached_content is not None
    serves = plan.search and profile.search_with_functions
    system, contents = contents_of(
        chat.messages,
        Told(profile, names, options.signatures, serves),
        system_instruction=profile.system_instruction and not cached,
    )
    if plan.search and options.search_prompt:
        last_user_parts(contents).append({"text": options.search_prompt})
    if options.random_string and _takes_random_string(chat, plan, profile):
        last_user_parts(contents).insert(0, {"text": options.random_string})
    in_json = chat.json_mode and _has_json_mode(plan, profile)
    if chat.json_mode and not in_json:
        asked = {"text": structured.words(chat, tools=bool(plan.tools))}
        (system if profile.system_instruction and not cached else last_user_parts(contents)).append(asked)
    fields = {
        "contents": contents,
        "safetySettings": _safety_settings(chat, profile),
        "systemInstruction": {"parts": system} if system else None,
        **_tools(plan, names, profile, contents),
        "cachedContent": chat.cached_content,
        "generationConfig": _generation_config(chat, resolved, options, in_json=in_json) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _takes_random_string(chat: Chat, plan: Plan, profile: Profile) -> bool:
    """Return whether a few letters do no harm: they would end up in answers of a given shape, or be read aloud."""
    exact = plan.search or chat.tools or chat.json_mode or profile.is_tts
    parts = (part for message in chat.messages for part in message.parts)
    return not exact and not any(isinstance(part, ToolCall) for part in parts)


def _has_json_mode(plan: Plan, profile: Profile) -> bool:
    return profile.json_mode and (profile.functions_with_json or not (plan.tools or plan.search))


def _tools(plan: Plan, names: Mapping[str, str], profile: Profile, contents: Sequence[Content]) -> dict[str, Any]:
    tools: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    if plan.tools:
        tools.append({"functionDeclarations": functions.declarations(plan.tools, names, profile)})
    if calling := functions.calling_config(plan, names, profile):
        config["functionCallingConfig"] = calling
    if plan.search:
        tools.append({"googleSearch": {}})
        if plan.tools or any(
            kind in part for content in contents for part in content["parts"] for kind in served.KINDS
        ):
            # "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function
            # calling."
            config["includeServerSideToolInvocations"] = True
    return {"tools": tools or None, "toolConfig": config or None}


def _safety_settings(chat: Chat, profile: Profile) -> list[dict[str, Any]]:
    if chat.safety_settings is not None:
        return [dict(setting) for setting in chat.safety_settings]
    return [{"category": category, "threshold": profile.safety_off} for category in _CATEGORIES]


def _generation_config(chat: Chat, resolved: Resolved, options: Options, *, in_json: bool) -> dict[str, Any]:
    profile = resolved.profile
    plan = thinking.plan(chat, resolved)
    limit = options.output_token_limit or profile.max_output_tokens
    config = {
        **_sampling(chat, profile),
        **(penalties(chat) if profile.penalties else {}),
        **_logprobs(chat, profile),
        "maxOutputTokens": thinking.output_limit(chat.max_tokens, plan.room, limit),
        "stopSequences": list(chat.stop) or None,
        "seed": None if chat.seed is None else chat.seed & _SEED_BITS,
        "thinkingConfig": plan.config or None,
        **modalities.config(chat, resolved),
        **(structured.config(chat, json_schema=profile.json_schema) if in_json else {}),
    }
    return {name: value for name, value in config.items() if value is not None}


def _sampling(chat: Chat, profile: Profile) -> dict[str, Any]:
    if not profile.sampling:
        return {}
    return {"temperature": chat.temperature, "topP": chat.top_p, "topK": chat.top_k}


def penalties(chat: Chat) -> dict[str, Any]:
    """Return the penalties that a chat asks for, as generationConfig has them; a penalty of zero is none."""
    asked = {"frequencyPenalty": chat.frequency_penalty, "presencePenalty": chat.presence_penalty}
    return {name: min(value, _MOST_PENALTY) for name, value in asked.items() if value}


def _logprobs(chat: Chat, profile: Profile) -> dict[str, Any]:
    if not (profile.logprobs and chat.logprobs):
        return {}
    return {"responseLogprobs": True, "logprobs": chat.top_logprobs or None}
