"""Recorded conversations with functions, told as an OpenAI client would tell them, are built as they were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.translation import served
from proxy.translation.chat import parse
from proxy.translation.profiles import resolve
from proxy.translation.request import Options, build, call_ids, tool_names
from proxy.translation.turns import ServerPart
from tests.oracle import complaints, load
from tests.shared import SHARED, needs_shared

# Tools that are never offered to Gemini here, and the parts that they leave in a history.
FOREIGN = re.compile(r'"(executableCode|codeExecutionResult|mcpServers)"')


def recorded() -> list[Any]:
    """Return the requests that were taken and in which functions are offered or were called."""
    if SHARED is None:
        return [pytest.param("", {}, id="none", marks=needs_shared)]
    folder = SHARED / "gemini" / "recordings"
    found = []
    for row in json.loads((folder / "index.json").read_text()):
        if row["status"] != 200 or row["endpoint"] not in ("generateContent", "streamGenerateContent"):
            continue
        request = json.loads((folder / f"{row['name']}.json").read_text())["request"]
        text = json.dumps(request["body"])
        if re.search(r'"function_?(declarations|call|response)', text, re.IGNORECASE) and not FOREIGN.search(text):
            model = re.search(r"/models/([^:/?]+)", request["url"])
            found.append(pytest.param(model[1] if model else "", request["body"], id=row["name"]))
    return found


def field(value: Any, name: str, default: Any = None) -> Any:
    return load().get(value, name, default)


def listed(value: Any) -> list[Any]:
    return list(load().aslist(value))


def parts_of(body: Any) -> Iterator[tuple[str, list[Any]]]:
    for content in listed(field(body, "contents")):
        yield content.get("role") or "user", listed(content.get("parts"))


def facts(body: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the calls with their signatures, the results, and the signed texts, in order."""
    calls, results, texts = [], [], []
    for _role, parts in parts_of(body):
        for part in parts:
            signature = field(part, "thoughtSignature")
            if call := field(part, "functionCall"):
                calls.append((call["name"], field(call, "args") or {}, signature))
            elif response := field(part, "functionResponse"):
                results.append((response["name"], response.get("response", {})))
            elif field(part, "text") and signature and not part.get("thought"):
                texts.append((part["text"], signature))
    return calls, results, texts


class Client:
    """What a client of OpenAI's keeps of such a conversation."""

    def __init__(self, body: Any, *, keeps_extra_content: bool) -> None:
        self.messages: list[dict[str, Any]] = []
        self.signatures: dict[str, str] = {}
        self._keeps = keeps_extra_content
        self._open: list[tuple[str, str]] = []
        for role, parts in parts_of(body):
            self._read(role, parts)

    def _read(self, role: str, parts: list[Any]) -> None:
        calls = [self._call(part) for part in parts if field(part, "functionCall")]
        texts = [part for part in parts if field(part, "text") and not part.get("thought")]
        for part in parts:
            if response := field(part, "functionResponse"):
                self._answer(response)
        if role == "model" and (calls or texts):
            content = [{"type": "text", "text": part["text"], **self._extra(part)} for part in texts]
            message = {"role": "assistant", "content": content or None}
            message |= {"tool_calls": calls} if calls else {}
            self.messages.append(message | self._of_server_tools(parts, calls))
        elif texts:
            self.messages.append({"role": "user", "content": "\n".join(part["text"] for part in texts)})

    def _of_server_tools(self, parts: list[Any], calls: list[Any]) -> dict[str, Any]:
        """Keep the parts of Google's tools here or, by the turn's first call, at the proxy."""
        found, said, called = [], 0, 0
        for part in parts:
            if field(part, "toolCall") or field(part, "toolResponse"):
                found.append(ServerPart(part, said, called))
            said += len(part.get("text") or "")
            called += "functionCall" in part
        if found and calls:
            self.signatures[served.key(calls[0]["id"])] = served.dumped(found)
        kept = {"extra_content": {"google": {"server_parts": served.document(found)}}}
        return kept if found and self._keeps else {}

    def _call(self, part: Any) -> dict[str, Any]:
        call = field(part, "functionCall")
        number = sum(len(message.get("tool_calls", ())) for message in self.messages) + len(self._open)
        call_id = f"call_{number}_{len(self._open)}"
        self._open.append((call["name"], call_id))
        if signature := field(part, "thoughtSignature"):
            self.signatures[call_id] = signature
        function = {"name": call["name"], "arguments": json.dumps(field(call, "args") or {})}
        return {"id": call_id, "type": "function", "function": function, **self._extra(part)}

    def _answer(self, response: Any) -> None:
        name, call_id = next(each for each in self._open if each[0] == response["name"])
        self._open.remove((name, call_id))
        content = json.dumps(response.get("response", {}))
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _extra(self, part: Any) -> dict[str, Any]:
        signature = field(part, "thoughtSignature")
        return {"extra_content": {"google": {"thought_signature": signature}}} if signature and self._keeps else {}


@needs_shared
@pytest.mark.parametrize(("model", "body"), recorded())
@pytest.mark.parametrize("keeps_extra_content", [True, False], ids=["kept by the client", "kept here"])
def test_calls_results_and_signatures_come_back_where_they_were(
    model: str, body: Any, keeps_extra_content: bool
) -> None:
    client = Client(body, keeps_extra_content=keeps_extra_content)
    searched = {"web_search_options": {}} if "googleSearch" in json.dumps(body) else {}
    chat = parse({"model": model, "messages": client.messages, "tools": tools_of(body), **searched})
    asked = [*call_ids(chat), *served.keys(chat)]
    kept = {call_id: client.signatures[call_id] for call_id in asked if call_id in client.signatures}

    built = build(chat, resolve(model), Options(random_string="aB3xY", signatures=kept))

    calls, results, texts = facts(built)
    recorded_calls, recorded_results, recorded_texts = facts(body)
    lost = {"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="}
    assert [(name, args) for name, args, _ in calls] == [(name, args) for name, args, _ in recorded_calls]
    assert [None if signature in lost else signature for *_, signature in calls] == [
        None if signature in lost else signature for *_, signature in recorded_calls
    ]
    assert results[: len(recorded_results)] == recorded_results
    assert all(response == {"error": "no result"} for _name, response in results[len(recorded_results) :])
    assert texts == (recorded_texts if keeps_extra_content else [])
    assert order_of(built) == order_of(body)
    assert complaints(model, built) == []


def order_of(body: Any) -> list[list[Any]]:
    """Return the turns in which tools of Google's ran: their parts as they are, the kinds of the others."""
    found = []
    for _role, parts in parts_of(body):
        ran = [part if field(part, "toolCall") or field(part, "toolResponse") else None for part in parts]
        if any(ran):
            found.append([part or set(parts[number]) for number, part in enumerate(ran)])
    return found


def tools_of(body: Any) -> list[dict[str, Any]]:
    """Return what is declared in JSON Schema, as OpenAI's clients declare it."""
    found = []
    for tool in listed(field(body, "tools")):
        for declared in listed(field(tool, "functionDeclarations")):
            function = {"name": declared["name"], "description": declared.get("description")}
            schema = field(declared, "parametersJsonSchema")
            found.append({"type": "function", "function": function | ({"parameters": schema} if schema else {})})
    return found


@needs_shared
@pytest.mark.parametrize(("model", "body"), recorded())
def test_declarations_in_json_schema_are_sent_as_recorded(model: str, body: Any) -> None:
    tools = tools_of(body)
    chat = parse({"model": model, "messages": [{"role": "user", "content": "Hi"}], "tools": tools})

    built = build(chat, resolve("gemini-3-flash-preview"), Options())

    declared = [each for tool in built.get("tools", ()) for each in tool["functionDeclarations"]]
    assert [each["name"] for each in declared] == [tool["function"]["name"] for tool in tools]
    assert [each.get("parametersJsonSchema") for each in declared] == [
        without_schema_word(tool["function"].get("parameters")) for tool in tools
    ]
    assert tool_names(chat) == {each["name"]: each["name"] for each in declared}


def without_schema_word(schema: Any) -> Any:
    return {word: value for word, value in schema.items() if word != "$schema"} if schema else None
