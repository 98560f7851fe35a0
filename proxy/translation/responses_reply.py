"""Deltas -> OpenAI's response, as the events of a stream and as one document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from proxy.translation import dialects
from proxy.translation.deltas import Delta, Finish
from proxy.translation.responses_output import Event, Output
from proxy.translation.usage import Usage

_REASONS: Final = {Finish.LENGTH: "max_output_tokens", Finish.CONTENT_FILTER: "content_filter"}
# Our types of errors -> the codes that a failed response may have; others are the server's.
_CODES: Final = {"rate_limit_error": "rate_limit_exceeded", "invalid_request_error": "invalid_prompt"}
_ENCRYPTED: Final = "reasoning.encrypted_content"


class ResponseEncoder:
    """Writes the deltas of one answer as the events of a response, numbered. ``head`` comes from the function below."""

    def __init__(self, head: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        self._head = head
        self._output = _output(head, document)
        self._number = 0

    def encode(self, deltas: Iterable[Delta]) -> bytes:
        """Return the events of one batch; the first one begins the response."""
        return self._start() + b"".join(map(self._framed, self._output.feed(deltas)))

    def end(self, usage: Usage) -> bytes:
        """Return what closes a whole answer: the last item, and the response with all of it."""
        closing = self._start() + b"".join(map(self._framed, self._output.close()))
        response = _whole(self._head, self._output, usage)
        return closing + self._framed({"type": f"response.{response['status']}", "response": response})

    def error(self, document: dict[str, Any]) -> bytes:
        """Return what closes an answer that broke off: the response as far as it came, failed."""
        closing = self._start() + b"".join(map(self._framed, self._output.close(failed=True)))
        told = document["error"]
        error = {"code": _CODES.get(told["type"], "server_error"), "message": told["message"]}
        response = _response(self._head, "failed", output=self._output.items, error=error)
        return closing + self._framed({"type": "response.failed", "response": response})

    def _start(self) -> bytes:
        if self._number:
            return b""
        response = _response(self._head, "in_progress")
        kinds = ("response.created", "response.in_progress")
        return b"".join(self._framed({"type": kind, "response": response}) for kind in kinds)

    def _framed(self, event: Event) -> bytes:
        event["sequence_number"] = self._number
        self._number += 1
        return dialects.framed(event["type"], event)


def fold(deltas: Iterable[Delta], usage: Usage, head: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response of a whole answer: what its events add up to."""
    output = _output(head, document)
    for _event in (*output.feed(deltas), *output.close()):
        pass
    return _whole(head, output, usage)


def head(document: Mapping[str, Any], response_id: str, model: str, created: int) -> dict[str, Any]:
    """Return what is the same in every state of a response: the request's own words, which parse has read."""
    reasoning = document.get("reasoning") or {}
    metadata = document.get("metadata")
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "background": False,
        "instructions": document.get("instructions"),
        "max_output_tokens": document.get("max_output_tokens"),
        "metadata": metadata if isinstance(metadata, dict) else {},
        "model": model,
        "parallel_tool_calls": document.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "store": False,
        "temperature": document.get("temperature"),
        "text": {"format": {"type": "text"}} | (document.get("text") or {}),
        "tool_choice": document.get("tool_choice") or "auto",
        "tools": document.get("tools") or [],
        "top_p": document.get("top_p"),
        "truncation": "disabled",
    }


def usage_document(usage: Usage) -> dict[str, Any]:
    """Return the tokens as responses write them."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.thoughts},
        "total_tokens": usage.total,
    }


def _output(head: Mapping[str, Any], document: Mapping[str, Any]) -> Output:
    return Output(
        head["id"].removeprefix("resp_"),
        thoughts=wants_thoughts(document),
        seals=_ENCRYPTED in (document.get("include") or ()),
    )


def wants_thoughts(document: Mapping[str, Any]) -> bool:
    """Return whether the client asks for summaries of the reasoning; OpenAI sends none unasked."""
    reasoning = document.get("reasoning") or {}
    return bool(reasoning.get("summary") or reasoning.get("generate_summary"))


def _whole(head: Mapping[str, Any], output: Output, usage: Usage) -> dict[str, Any]:
    reason = _REASONS.get(output.finish)
    return _response(
        head,
        "incomplete" if reason else "completed",
        output=output.items,
        incomplete_details={"reason": reason} if reason else None,
        usage=usage_document(usage),
    )


def _response(head: Mapping[str, Any], status: str, **fields: Any) -> dict[str, Any]:
    unset: dict[str, Any] = {"error": None, "incomplete_details": None, "output": [], "usage": None}
    return {**head, "status": status, **unset, **fields}
