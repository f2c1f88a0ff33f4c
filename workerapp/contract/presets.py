"""Endpoints by name: what a well-known interface is sent, and where its answer is."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Preset: TypeAlias = Literal["openai_chat"]

OPENAI_CHAT = "openai_chat"


def _response(part: str) -> dict[str, str]:
    said = f"$.choices[0].{part}"
    return {"output": f"{said}.content", "tool_calls": f"{said}.tool_calls", "usage": "$.usage"}


_WHOLE, _STREAMED = _response("message"), _response("delta")


def fill_in_preset(given: dict[str, Any]) -> dict[str, Any]:
    """The definition with what its preset says; what is given itself has precedence, member by member.

    Filling in twice changes nothing. A definition of another shape is left to be refused.
    """
    own_request, own_response = given.get("request"), given.get("response")
    if given.get("preset") != OPENAI_CHAT or not isinstance(own_request, dict | None):
        return given
    request: dict[str, Any] = {"model": given.get("model"), "messages": "{{ messages }}"}
    if given.get("stream") is True:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    response = own_response
    if isinstance(own_response, dict | None):
        response = (_STREAMED if given.get("stream") is True else _WHOLE) | (own_response or {})
    return given | {"request": request | (own_request or {}), "response": response}
