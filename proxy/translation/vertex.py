"""A body for the Gemini API -> the body that Vertex AI takes, and the other way round. Pure.

What differs: Google's discovery documents of generativelanguage v1beta and aiplatform v1beta1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.translation.chat import Chat
from proxy.translation.profiles import Resolved
from proxy.translation.request import penalties

Json = dict[str, Any]

# Fields that only the Gemini API knows: Vertex answers "Unknown name" to each. Both spellings are one.
_ROOT: Final = frozenset({"model", "servicetier", "store"})
_CONFIG: Final = frozenset({"enableenhancedcivicanswers"})
_TOOL: Final = frozenset({"filesearch", "mcpservers"})
_SEARCH: Final = frozenset({"searchtypes", "timerangefilter"})
_TOOL_CONFIG: Final = frozenset({"includeserversidetoolinvocations"})
_PART: Final = frozenset({"partmetadata", "toolcall", "toolresponse"})
_RESPONSE: Final = frozenset({"willcontinue"})

# Fields that only Vertex knows, and that say how it should work rather than what it should do: the Gemini API gives the
# same question an answer without them. A tool, a file or a screen for prompts is not among them: an answer without
# these would be one to something else.
_VERTEX_ROOT: Final = frozenset({"labels"})
_VERTEX_CONFIG: Final = frozenset({"audiotimestamp", "routingconfig", "modelconfig"})
_VERTEX_SAFETY: Final = frozenset({"method"})
_VERTEX_CALLING: Final = frozenset({"streamfunctioncallarguments"})


def extras(chat: Chat, resolved: Resolved) -> Json:
    """Return the fields of generationConfig that a model takes on Vertex and refuses on the Gemini API."""
    return penalties(chat) if resolved.profile.penalties_on_vertex and not resolved.profile.penalties else {}


def adapted(body: bytes, method: str, more: Mapping[str, Any]) -> bytes:
    """Return ``body``, a JSON object for ``method`` of the Gemini API, as Vertex takes it.

    ``more`` joins its generationConfig. What is no object, or of a method that both have alike, stays as it is.
    """
    document = orjson.loads(body)
    if not isinstance(document, dict) or method == "predict":
        return body
    if method == "countTokens":
        document = _flat(document)
    return orjson.dumps(_request(document, more if method == "generateContent" else {}))


def for_ai_studio(document: Json) -> Json:
    """Return a native body, written for Vertex perhaps, without what the Gemini API would refuse it for.

    It costs nothing where there is nothing to drop: the contents are not looked at, and stay the same object.
    """
    changed: Json = {}
    for name, value in _without(document, _VERTEX_ROOT).items():
        match _plain(name):
            case "generationconfig":
                changed[name] = _without(value, _VERTEX_CONFIG)
            case "safetysettings":
                changed[name] = _each_without(value, _VERTEX_SAFETY)
            case "toolconfig":
                changed[name] = _calling(value)
            case _:
                changed[name] = value
    return changed


def _calling(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    return {
        name: _without(value, _VERTEX_CALLING) if _plain(name) == "functioncallingconfig" else value
        for name, value in config.items()
    }


def _flat(document: Json) -> Json:
    """A count of a whole request: Vertex takes its fields at the root."""
    inner = next((value for name, value in document.items() if _plain(name) == "generatecontentrequest"), None)
    if not isinstance(inner, dict):
        return document
    kept = {"contents", "systeminstruction", "tools", "generationconfig"}
    return {name: value for name, value in inner.items() if _plain(name) in kept}


def _request(document: Json, more: Mapping[str, Any]) -> Json:
    changed: Json = {}
    for name, value in _without(document, _ROOT).items():
        match _plain(name):
            case "contents":
                changed[name] = [_content(content) for content in _listed(value)]
            case "systeminstruction":
                changed[name] = _parted(value)
            case "tools":
                changed[name] = [tool for tool in map(_tool, _listed(value)) if tool]
            case "toolconfig":
                changed[name] = _without(value, _TOOL_CONFIG)
            case "generationconfig":
                changed[name] = _without(value, _CONFIG)
            case _:
                changed[name] = value
    if more:
        name = next((name for name in changed if _plain(name) == "generationconfig"), "generationConfig")
        changed[name] = {**(changed.get(name) or {}), **more}
    return changed


def _content(content: Any) -> Any:
    """Vertex wants every content to say whose it is."""
    if not isinstance(content, dict):
        return content
    return {"role": content.get("role") or "user", **{k: v for k, v in _parted(content).items() if k != "role"}}


def _parted(content: Any) -> Any:
    if not isinstance(content, dict) or "parts" not in content:
        return content
    return {**content, "parts": [part for part in map(_part, _listed(content["parts"])) if part]}


def _part(part: Any) -> Any:
    kept = _without(part, _PART)
    if not isinstance(kept, dict):
        return kept
    return {
        name: _without(value, _RESPONSE) if _plain(name) == "functionresponse" else value
        for name, value in kept.items()
    }


def _tool(tool: Any) -> Any:
    kept = _without(tool, _TOOL)
    if not isinstance(kept, dict):
        return kept
    return {name: _without(value, _SEARCH) if _plain(name) == "googlesearch" else value for name, value in kept.items()}


def _without(document: Any, names: frozenset[str]) -> Any:
    if not isinstance(document, dict):
        return document
    return {name: value for name, value in document.items() if _plain(name) not in names}


def _each_without(value: Any, names: frozenset[str]) -> Any:
    return [_without(one, names) for one in value] if isinstance(value, list) else _without(value, names)


def _listed(value: Any) -> list[Any]:
    """A single object where a list is meant is understood on both sides."""
    return value if isinstance(value, list) else [value]


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
