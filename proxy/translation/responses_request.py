"""An OpenAI response request -> Chat: parsed, checked, and refused with the place of the mistake. Pure."""

from __future__ import annotations

from typing import Any, Final

from proxy.translation import dialects, reading, responses_input, schema
from proxy.translation.chat import EFFORTS
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.reading import Document
from proxy.translation.responses_reply import wants_thoughts
from proxy.translation.turns import Chat, Tool, ToolChoice

_FORMATS: Final = ("text", "json_object", "json_schema")
_MODES: Final = ("auto", "none", "required")
_SUMMARIES: Final = ("auto", "concise", "detailed")
_SEARCH: Final = "web_search"
_NOTHING_STORED: Final = _("%(param)s: nothing is stored here; send the whole conversation as input.")
# What needs a memory that this server does not have, and what the client is told.
_STATEFUL: Final = {
    "previous_response_id": _NOTHING_STORED,
    "conversation": _NOTHING_STORED,
    "prompt": _("%(param)s: nothing is stored here; send the prompt itself."),
}


def parse(document: object) -> Chat:
    """Read the JSON document of a response request; any mistake of the client's is an Invalid naming the place.

    Null counts as unset. Fields that mean nothing to Gemini (store, user, truncation, service_tier ...) and unknown
    ones are ignored; what needs stored state is refused.
    """
    if not isinstance(document, dict):
        raise Invalid(_("The request body must be a JSON object."))
    _refuse_state(document)
    functions, searched_at = _tools(document.get("tools"))
    form, wanted = _format(document.get("text"))
    reading.items(document.get("include"), "include")
    effort = _effort(document.get("reasoning"))
    return Chat(
        model=dialects.model_name(document.get("model")),
        messages=(
            *responses_input.instructions(document.get("instructions")),
            *responses_input.read(document.get("input")),
        ),
        stream=reading.flag(document.get("stream"), "stream"),
        max_tokens=reading.whole(document.get("max_output_tokens"), "max_output_tokens", 1),
        temperature=reading.number(document.get("temperature"), "temperature", 0, 2),
        top_p=reading.number(document.get("top_p"), "top_p", 0, 1),
        reasoning_effort=effort,
        include_thoughts=wants_thoughts(document),
        web_search=bool(searched_at),
        web_search_at=searched_at,
        tools=tuple(functions.values()),
        tool_choice=_tool_choice(document.get("tool_choice"), functions),
        parallel_tool_calls=reading.flag(document.get("parallel_tool_calls"), "parallel_tool_calls", True),
        json_mode=form != "text",
        json_schema=wanted,
    )


def _refuse_state(document: Document) -> None:
    for field, sentence in _STATEFUL.items():
        if document.get(field) is not None:
            raise Invalid.at(field, sentence)
    if reading.flag(document.get("background"), "background"):
        raise Invalid.at("background", _("%(param)s: answers are not prepared in the background here."))


def _effort(value: Any) -> str | None:
    wishes = reading.mapping(value, "reasoning")
    for field in ("summary", "generate_summary"):
        reading.one_of(wishes.get(field), f"reasoning.{field}", _SUMMARIES)
    return reading.one_of(wishes.get("effort"), "reasoning.effort", EFFORTS)


def _format(value: Any) -> tuple[str, schema.Schema | None]:
    """Return the kind of text that is wanted, and its schema."""
    form = reading.mapping(reading.mapping(value, "text").get("format"), "text.format")
    kind = dialects.word(form.get("type", "text"), "text.format.type", _FORMATS)
    if kind != "json_schema":
        return kind, None
    return kind, schema.check(form.get("schema"), "text.format.schema")


def _tools(value: Any) -> tuple[dict[str, Tool], str]:
    """Return the functions among the tools by name, and where the one stands that searches the web, '' for none."""
    functions: dict[str, Tool] = {}
    searched_at = ""
    for index, each in enumerate(reading.items(value, "tools")):
        place = f"tools[{index}]"
        tool = dialects.an_object(each, place)
        kind = reading.text(dialects.needed(tool.get("type"), f"{place}.type"), f"{place}.type")
        if kind == "function":
            dialects.add(functions, _function(tool, place), place)
        elif kind.startswith(_SEARCH):
            searched_at = searched_at or place
        else:
            sentence = _('%(param)s: "%(value)s" is not served here; functions and web search are.')
            raise Invalid.at(f"{place}.type", sentence, value=shown(kind))
    return functions, searched_at


def _function(tool: Document, place: str) -> Tool:
    return Tool(
        name=dialects.name(tool.get("name"), f"{place}.name"),
        description=reading.optional_text(tool.get("description"), f"{place}.description"),
        parameters=schema.check_object(tool.get("parameters"), f"{place}.parameters"),
        strict=reading.flag(tool.get("strict"), f"{place}.strict"),
    )


def _tool_choice(value: Any, functions: dict[str, Tool]) -> ToolChoice | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _mode(value, "tool_choice", functions)
    choice = reading.mapping(value, "tool_choice")
    kind = reading.text(dialects.needed(choice.get("type"), "tool_choice.type"), "tool_choice.type")
    if kind == "function":
        return ToolChoice("required", (dialects.chosen(functions, choice.get("name"), "tool_choice.name"),))
    if kind == "allowed_tools":
        return _allowed(choice, functions)
    if kind.startswith(_SEARCH):
        # Gemini searches when it sees fit; it can not be made to.
        return None
    raise Invalid.at("tool_choice.type", _('%(param)s: "%(value)s" is not served here.'), value=shown(kind))


def _allowed(choice: Document, functions: dict[str, Tool]) -> ToolChoice | None:
    """Read a choice among some of the tools; with none of them, nothing is called."""
    names: dict[str, None] = {}
    for index, each in enumerate(reading.items(choice.get("tools"), "tool_choice.tools")):
        place = f"tool_choice.tools[{index}]"
        tool = dialects.an_object(each, place)
        if tool.get("type") == "function":
            names[dialects.chosen(functions, tool.get("name"), f"{place}.name")] = None
    mode = _mode(choice.get("mode", "auto"), "tool_choice.mode", functions)
    return ToolChoice(mode.mode if names else "none", tuple(names))


def _mode(value: Any, place: str, functions: dict[str, Tool]) -> ToolChoice:
    match dialects.word(value, place, _MODES):
        case "none":
            return ToolChoice("none")
        case "required" if functions:
            return ToolChoice("required")
        case _:
            return ToolChoice("auto")
