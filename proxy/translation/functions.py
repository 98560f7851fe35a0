"""The functions of a chat as Gemini is told of them: names, declarations, and whether they may be called. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.translation.families import Profile
from proxy.translation.gemini_schema import converted_object
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.profiles import Resolved
from proxy.translation.ready_schema import ready_object
from proxy.translation.turns import Chat, Tool, ToolCall, ToolChoice

# "Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons
# (:), or dashes (-), with a maximum length of 64." Newer answers say 128; 64 is always right.
_LEGAL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_ILLEGAL_LETTER: Final = re.compile(r"[^A-Za-z0-9_.:-]")
_LONGEST: Final = 64
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


@dataclass(frozen=True, slots=True)
class Plan:
    """Which tools go upstream: ``tools`` declared, as ``choice`` allows, beside the web ``search`` or not."""

    tools: tuple[Tool, ...]
    choice: ToolChoice | None
    search: bool


def legal_names(chat: Chat) -> dict[str, str]:
    """Return the name that Gemini is told for each function of a chat, declared or only called, by the client's name.

    Names that are legal stay; others are changed until they are, and are no other function's.
    """
    originals = list(dict.fromkeys(_names(chat)))
    taken = {name for name in originals if _LEGAL.fullmatch(name)}
    tries: dict[str, int] = {}
    legal: dict[str, str] = {}
    for name in originals:
        legal[name] = name if name in taken else _free(_made_legal(name), taken, tries)
        taken.add(legal[name])
    return legal


def plan(chat: Chat, resolved: Resolved) -> Plan:
    """Decide which tools a model gets; Invalid where it can not do what was asked outright."""
    profile = resolved.profile
    tools = _offered(chat, resolved)
    search = _searches(chat, resolved)
    conflict = (search and not profile.search_with_functions) or (chat.json_mode and not profile.functions_with_json)
    choice = chat.tool_choice
    if choice and choice.mode == "none" and conflict:
        tools = ()
    if tools and search and not profile.search_with_functions:
        if chat.web_search:
            raise Invalid(
                _('The model "%(model)s" cannot search the web and call functions in one request.'),
                {"model": shown(resolved.name)},
                param=chat.web_search_at,
            )
        # Asked by the model's name alone, the functions matter more: without them the client's program breaks.
        search = False
    if choice and choice.mode == "auto" and not profile.validated_calls and choice.names:
        # Such models can be told to call nothing but these only by not telling them of others.
        tools = tuple(tool for tool in tools if tool.name in choice.names)
        choice = ToolChoice("auto")
    return Plan(tools, choice if tools else None, search)


def declarations(tools: Iterable[Tool], names: Mapping[str, str], profile: Profile) -> list[dict[str, Any]]:
    """Return the functionDeclarations."""
    return [_declaration(tool, names[tool.name], profile) for tool in tools]


def calling_config(plan: Plan, names: Mapping[str, str], profile: Profile) -> dict[str, Any] | None:
    """Return the functionCallingConfig, None where Gemini's own way is right."""
    if not plan.tools:
        return None
    choice = plan.choice
    allowed = [names[name] for name in choice.names] if choice else []
    mode = _MODES[choice.mode] if choice else None
    if mode in (None, "AUTO") and profile.validated_calls and (allowed or all(tool.strict for tool in plan.tools)):
        mode = "VALIDATED"
    if mode is None:
        return None
    return {"mode": mode, "allowedFunctionNames": allowed} if allowed else {"mode": mode}


def _offered(chat: Chat, resolved: Resolved) -> tuple[Tool, ...]:
    """Return the functions that the model can be offered."""
    must = chat.tool_choice is not None and chat.tool_choice.mode == "required"
    if not resolved.profile.functions:
        if must:
            sentence = _('The model "%(model)s" cannot call functions.')
            raise Invalid(sentence, {"model": shown(resolved.name)}, param="tool_choice")
        # A client that offers functions with every request may still talk to a model that has none.
        return ()
    if chat.cached_content is None or not chat.tools:
        return chat.tools
    if chat.tool_choice is not None and chat.tool_choice.mode == "none":
        return ()
    raise Invalid(_("Functions do not go together with cached content."), param="tools")


def _searches(chat: Chat, resolved: Resolved) -> bool:
    """Return whether the model shall search the web; refuse what can not be searched with."""
    if not (chat.web_search or resolved.search):
        return False
    param = "model" if resolved.search else chat.web_search_at
    if not resolved.profile.search:
        raise Invalid(_('The model "%(model)s" cannot search the web.'), {"model": shown(resolved.name)}, param=param)
    if chat.cached_content is not None:
        raise Invalid(_("Web search does not go together with cached content."), param=param)
    return True


def _declaration(tool: Tool, name: str, profile: Profile) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": name}
    if tool.description:
        declaration["description"] = tool.description
    parameters = ready_object(tool.parameters)
    if parameters is not None and profile.json_schema:
        declaration["parametersJsonSchema"] = parameters
    elif parameters is not None:
        declaration["parameters"] = converted_object(parameters)
    return declaration


def _names(chat: Chat) -> Iterator[str]:
    yield from (tool.name for tool in chat.tools)
    for message in chat.messages:
        yield from (part.name for part in message.parts if isinstance(part, ToolCall))


def _made_legal(name: str) -> str:
    legal = _ILLEGAL_LETTER.sub("_", name)[:_LONGEST]
    return legal if _LEGAL.fullmatch(legal) else f"_{legal}"[:_LONGEST]


def _free(name: str, taken: set[str], tries: dict[str, int]) -> str:
    """Return ``name``, numbered if it is taken; ``tries`` remembers how far each was numbered."""
    free = name
    while free in taken:
        tries[name] = tries.get(name, 1) + 1
        ending = f"_{tries[name]}"
        free = name[: _LONGEST - len(ending)] + ending
    return free
