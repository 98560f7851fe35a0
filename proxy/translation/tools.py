"""The functions an OpenAI chat offers, and whether they may be called; each mistake with its place. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from proxy.translation import reading, schema
from proxy.translation.invalid import Invalid, Term, _, shown
from proxy.translation.reading import Document
from proxy.translation.turns import Tool, ToolChoice

# "At most 512 function declarations can be specified."
MOST_TOOLS: Final = 512

Mode = Literal["auto", "none", "required"]
# "any" is what other houses call it.
MODES: Final[dict[str, Mode]] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


@dataclass(frozen=True, slots=True)
class Offer:
    """The functions, the choice among them (None: unsaid), and whether the client speaks of ``functions``."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice | None = None
    parallel: bool = True
    old: bool = False


def read(document: Document) -> Offer:
    """Read ``tools``, ``tool_choice`` and ``parallel_tool_calls``, or the older ``functions`` and ``function_call``."""
    tools = tuple(_listed(document, "tools", _tool))
    functions = tuple(_listed(document, "functions", _function))
    if tools and functions:
        raise Invalid.at("functions", _("%(param)s can not be used together with tools."))
    name = "function_call" if functions or document.get("tool_choice") is None else "tool_choice"
    choice = _choice(document.get(name), name, tools or functions)
    parallel = reading.flag(document.get("parallel_tool_calls"), "parallel_tool_calls", default=True)
    return Offer(distinct(tools or functions, "functions" if functions else "tools"), choice, parallel, bool(functions))


def distinct(tools: Sequence[Tool], param: str) -> tuple[Tool, ...]:
    """Return the tools, each once; Invalid when there are too many, or two different ones of one name."""
    by_name: dict[str, Tool] = {}
    for index, tool in enumerate(tools):
        if by_name.setdefault(tool.name, tool) != tool:
            place = f"{param}[{index}].function.name" if param == "tools" else f"{param}[{index}].name"
            raise Invalid.at(
                place, _('%(param)s: there is another function named "%(value)s".'), value=shown(tool.name)
            )
    if len(by_name) > MOST_TOOLS:
        raise Invalid.at(param, _("%(param)s may hold at most %(most)s functions."), most=MOST_TOOLS)
    return tuple(by_name.values())


def _listed(document: Document, name: str, read_one: Any) -> list[Tool]:
    found = reading.items(document.get(name), name)
    return [read_one(each, f"{name}[{index}]") for index, each in enumerate(found)]


def _tool(value: Any, place: str) -> Tool:
    if not isinstance(value, dict):
        raise Invalid.at(place, _("%(param)s must be an object."))
    kind = value.get("type", "function")
    if kind != "function":
        raise Invalid.at(f"{place}.type", _('%(param)s must be "function", not "%(value)s".'), value=shown(kind))
    if value.get("function") is None:
        raise Invalid.at(f"{place}.function", _("%(param)s is missing."))
    return _function(value["function"], f"{place}.function")


def _function(value: Any, place: str) -> Tool:
    function = reading.mapping(value, place)
    name = reading.text(function.get("name"), f"{place}.name")
    if not name.strip():
        raise Invalid.at(f"{place}.name", _("%(param)s must not be empty."))
    return Tool(
        name,
        reading.optional_text(function.get("description"), f"{place}.description"),
        schema.check_object(function.get("parameters"), f"{place}.parameters"),
        reading.flag(function.get("strict"), f"{place}.strict"),
    )


def _choice(value: Any, place: str, tools: Sequence[Tool]) -> ToolChoice | None:
    choice = _read_choice(value, place)
    if choice is None or not tools:
        if choice is not None and choice.mode == "required":
            raise Invalid.at(place, _("%(param)s asks for a call, but there are no functions to call."))
        return None
    unknown = set(choice.names) - {tool.name for tool in tools}
    if unknown:
        sentence = _('%(param)s names "%(value)s", which is not among the functions.')
        raise Invalid.at(place, sentence, value=shown(min(unknown)))
    return choice


def _read_choice(value: Any, place: str) -> ToolChoice | None:
    if value is None:
        return None
    if isinstance(value, str):
        if value not in MODES:
            raise _unknown_choice(value, place)
        return ToolChoice(MODES[value])
    choice = reading.mapping(value, place)
    if choice.get("type") == "allowed_tools":
        return _allowed(choice, place)
    if place == "tool_choice" and choice.get("type") not in (None, "function"):
        words, value = Term("function, allowed_tools"), shown(choice.get("type"))
        raise Invalid.at(
            "tool_choice.type", _('%(param)s must be one of %(words)s, not "%(value)s".'), words=words, value=value
        )
    return ToolChoice("required", (_chosen_name(choice, place),))


def _allowed(choice: Document, place: str) -> ToolChoice:
    """Read a choice among some of the tools, with or without the wrapping that Chat Completions has."""
    if choice.get("allowed_tools") is not None:
        place = f"{place}.allowed_tools"
        choice = reading.mapping(choice["allowed_tools"], place)
    mode = reading.one_of(choice.get("mode", "auto"), f"{place}.mode", ("auto", "required"))
    found = reading.items(choice.get("tools"), f"{place}.tools")
    names = (
        _chosen_name(reading.mapping(each, f"{place}.tools[{index}]"), f"{place}.tools[{index}]")
        for index, each in enumerate(found)
    )
    allowed = tuple(dict.fromkeys(names))
    if not allowed:
        raise Invalid.at(f"{place}.tools", _("%(param)s must name at least one function."))
    return ToolChoice(MODES[mode or "auto"], allowed)


def _chosen_name(choice: Document, place: str) -> str:
    if choice.get("function") is not None:
        place = f"{place}.function"
        choice = reading.mapping(choice["function"], place)
    return reading.text(choice.get("name"), f"{place}.name")


def _unknown_choice(value: Any, place: str) -> Invalid:
    words = Term("none, auto, required")
    return Invalid.at(
        place,
        _('%(param)s must be one of %(words)s or name a function, not "%(value)s".'),
        words=words,
        value=shown(value),
    )
