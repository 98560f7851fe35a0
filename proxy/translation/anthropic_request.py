"""An Anthropic messages request -> Chat: parsed, checked, and refused with the place of the mistake. Pure."""

from __future__ import annotations

from typing import Any, Final

from proxy.translation import anthropic_messages, dialects, reading, schema
from proxy.translation.extras import INT32, Thinking
from proxy.translation.invalid import Invalid, _, shown
from proxy.translation.reading import Document
from proxy.translation.turns import Chat, Tool, ToolChoice

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_THINKING: Final = ("enabled", "disabled", "adaptive", "between_tools")
_CHOICES: Final = ("auto", "any", "tool", "none")
_SEARCH: Final = "web_search_"


def parse(document: object, *, counting: bool = False) -> Chat:
    """Read the JSON document of a messages request; any mistake of the client's is an Invalid naming the place.

    Null counts as unset. Fields that mean nothing to Gemini (metadata, cache_control, service_tier ...) and unknown
    ones are ignored. ``counting``: the document asks for a count of tokens only, and needs no ``max_tokens``.
    """
    if not isinstance(document, dict):
        raise Invalid(_("The request body must be a JSON object."))
    _refuse_state(document)
    thinking = _thinking(document)
    functions, searches = _tools(document.get("tools"))
    choice, parallel = _tool_choice(document.get("tool_choice"), functions, searches)
    wanted = _output_schema(document)
    return Chat(
        model=dialects.model_name(document.get("model")),
        messages=(
            *anthropic_messages.system(document.get("system")),
            *anthropic_messages.read(document.get("messages")),
        ),
        stream=reading.flag(document.get("stream"), "stream"),
        max_tokens=_max_tokens(document.get("max_tokens"), counting),
        temperature=reading.number(document.get("temperature"), "temperature", 0, 1),
        top_p=reading.number(document.get("top_p"), "top_p", 0, 1),
        top_k=reading.whole(document.get("top_k"), "top_k", 0, INT32) or None,
        stop=_stop(document.get("stop_sequences")),
        reasoning_effort=_effort(document),
        thinking_budget=thinking.budget,
        include_thoughts=thinking.include,
        web_search=bool(searches),
        web_search_at=next(iter(searches.values()), ""),
        tools=tuple(functions.values()),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        json_mode=wanted is not None,
        json_schema=wanted,
    )


def _refuse_state(document: Document) -> None:
    if document.get("thread") is not None:
        # Anthropic's own clients know this code, and then send the whole conversation by themselves.
        sentence = _("thread: nothing is stored here; send the whole conversation without it.")
        raise Invalid(sentence, param="thread", code="thread_unsupported_request")
    if reading.items(document.get("mcp_servers"), "mcp_servers"):
        raise Invalid.at("mcp_servers", _("%(param)s: tools on other servers are not called from here."))


def _max_tokens(value: Any, counting: bool) -> int | None:
    if value is None and not counting:
        raise Invalid.at("max_tokens", _("%(param)s is missing."))
    return reading.whole(value, "max_tokens", 1)


def _stop(value: Any) -> tuple[str, ...]:
    """Read ``stop_sequences``; empty ones would stop at once, and Gemini takes five."""
    found = reading.items(value, "stop_sequences")
    texts = (reading.text(each, f"stop_sequences[{index}]") for index, each in enumerate(found))
    return tuple([text for text in texts if text][: dialects.MOST_STOPS])


def _effort(document: Document) -> str | None:
    config = reading.mapping(document.get("output_config"), "output_config")
    return reading.one_of(config.get("effort"), "output_config.effort", EFFORTS)


def _thinking(document: Document) -> Thinking:
    """Read ``thinking``. Who does not ask for thoughts is not shown any, as from Anthropic."""
    if document.get("thinking") is None:
        return Thinking(include=False)
    config = reading.mapping(document["thinking"], "thinking")
    kind = dialects.word(config.get("type"), "thinking.type", _THINKING)
    if kind == "disabled":
        return Thinking(budget=0, include=False)
    include = reading.one_of(config.get("display"), "thinking.display", ("summarized", "omitted")) != "omitted"
    if kind == "enabled":
        budget = dialects.needed(config.get("budget_tokens"), "thinking.budget_tokens")
        return Thinking(budget=reading.whole(budget, "thinking.budget_tokens", 1, INT32), include=include)
    # Adaptive: as much as the effort says, else the model decides.
    return Thinking(budget=-1 if _effort(document) is None else None, include=include)


def _output_schema(document: Document) -> schema.Schema | None:
    """Read the schema that the answer shall have, at its place of today or at the earlier one."""
    config = reading.mapping(document.get("output_config"), "output_config")
    for value, place in (
        (config.get("format"), "output_config.format"),
        (document.get("output_format"), "output_format"),
    ):
        if value is not None:
            form = reading.mapping(value, place)
            dialects.word(form.get("type"), f"{place}.type", ("json_schema",))
            return schema.check(form.get("schema"), f"{place}.schema")
    return None


def _tools(value: Any) -> tuple[dict[str, Tool], dict[str, str]]:
    """Return the functions among the tools by name, and the places of those that search the web, by theirs."""
    functions: dict[str, Tool] = {}
    searches: dict[str, str] = {}
    for index, each in enumerate(reading.items(value, "tools")):
        place = f"tools[{index}]"
        tool = dialects.an_object(each, place)
        kind = reading.optional_text(tool.get("type"), f"{place}.type") or "custom"
        if kind == "custom":
            dialects.add(functions, _function(tool, place), place)
        elif kind.startswith(_SEARCH):
            searches[reading.text(tool.get("name", "web_search"), f"{place}.name")] = place
        else:
            sentence = _('%(param)s: "%(value)s" is not served here; custom tools and web search are.')
            raise Invalid.at(f"{place}.type", sentence, value=shown(kind))
    return functions, searches


def _function(tool: Document, place: str) -> Tool:
    at = f"{place}.input_schema"
    return Tool(
        name=dialects.name(tool.get("name"), f"{place}.name"),
        description=reading.optional_text(tool.get("description"), f"{place}.description"),
        parameters=schema.check_object(dialects.needed(tool.get("input_schema"), at), at),
        strict=reading.flag(tool.get("strict"), f"{place}.strict"),
    )


def _tool_choice(value: Any, functions: dict[str, Tool], searches: dict[str, str]) -> tuple[ToolChoice | None, bool]:
    """Return the choice, None without one, and whether several calls at once are wanted."""
    choice = reading.mapping(value, "tool_choice")
    if value is None:
        return None, True
    kind = dialects.word(choice.get("type"), "tool_choice.type", _CHOICES)
    parallel = not reading.flag(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    # Gemini searches when it sees fit; it can not be made to.
    if kind == "tool" and choice.get("name") not in searches:
        return ToolChoice("required", (dialects.chosen(functions, choice.get("name"), "tool_choice.name"),)), parallel
    if kind == "any" and functions:
        return ToolChoice("required"), parallel
    return ToolChoice("none" if kind == "none" else "auto"), parallel
