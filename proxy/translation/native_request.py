"""What a body in Gemini's own dialect says that we must know, and the little that aliases add to it. Pure.

Google reads each field in camelCase and in snake_case.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.translation import thinking
from proxy.translation.profiles import Resolved
from proxy.translation.turns import Chat

Document = dict[str, Any]


def answers(document: Document) -> int:
    """Return how many answers are asked for: candidateCount, 1 where it is missing or makes no sense."""
    config = _mapping(document, "generationConfig", "generation_config")
    count = _field(config, "candidateCount", "candidate_count")[1]
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 1 else 1


def goes_on(document: Document) -> bool:
    """Tell whether an answer may go on after a finishReason: with tools on other servers each call brings one.

    Google calls those servers itself, and goes on once they have replied (recorded by js-genai).
    """
    return _has(_tools(document), "mcpServers", "mcp_servers")


def models(document: Document) -> Iterator[str]:
    """Yield the models that are named within: of the request whose tokens are counted, of a batch's texts."""
    requests = document.get("requests")
    batch = requests if isinstance(requests, list) else []
    for each in (_mapping(document, "generateContentRequest", "generate_content_request"), *batch):
        name = each.get("model") if isinstance(each, dict) else None
        if isinstance(name, str) and name:
            yield name


def with_aliases(document: Document, resolved: Resolved) -> Document:
    """Return the body of a generateContent with what the model's name stands for; as it is when that is nothing.

    What the body says itself comes first.
    """
    return _with_search(_with_thinking(document, resolved), resolved)


def _with_thinking(document: Document, resolved: Resolved) -> Document:
    if resolved.thinking is None:
        return document
    field, config = _field(document, "generationConfig", "generation_config")
    config = config if isinstance(config, dict) else {}
    wish = thinking.plan(Chat(model=resolved.asked, messages=()), resolved).config
    if not wish or "thinkingConfig" in config or "thinking_config" in config:
        return document
    return document | {field: config | {"thinkingConfig": wish}}


def _with_search(document: Document, resolved: Resolved) -> Document:
    if not resolved.search:
        return document
    tools = _tools(document)
    has_functions = _has(tools, "functionDeclarations", "function_declarations")
    if _has(tools, "googleSearch", "google_search"):
        return document
    if not has_functions:
        return document | {"tools": [*tools, {"googleSearch": {}}]}
    if not resolved.profile.search_with_functions:
        # As in chats: without its functions the client's program breaks, without the search it does not.
        return document
    field, config = _field(document, "toolConfig", "tool_config")
    config = config if isinstance(config, dict) else {}
    allowing = {field: config | {"includeServerSideToolInvocations": True}}
    return document | {"tools": [*tools, {"googleSearch": {}}]} | allowing


def _tools(document: Document) -> list[Any]:
    listed = document.get("tools") or []
    return listed if isinstance(listed, list) else [listed]


def _has(tools: list[Any], *names: str) -> bool:
    return any(isinstance(tool, dict) and any(name in tool for name in names) for tool in tools)


def _field(document: Document, camel: str, snake: str) -> tuple[str, Any]:
    name = snake if camel not in document and snake in document else camel
    return name, document.get(name)


def _mapping(document: Document, camel: str, snake: str) -> Document:
    value = _field(document, camel, snake)[1]
    return value if isinstance(value, dict) else {}
