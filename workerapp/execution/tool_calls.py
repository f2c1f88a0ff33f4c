"""Calls of tools in an answer, as OpenAI's chat completions have them: put together from pieces, and read."""

from __future__ import annotations

from typing import Any, TypeGuard

from workerapp.contract.json_values import decode

_ARGUMENTS = "arguments"


class ToolCalls:
    """The calls of one streamed answer, whose pieces tell by their `index` which call they belong to."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}

    def add(self, pieces: Any) -> bool:
        """Take what an event has; whether that was pieces of calls. One without an index is a whole call."""
        if not _are_pieces(pieces):
            return False
        for piece in pieces:
            index = piece.get("index")
            key = index if isinstance(index, int) else len(self._calls)
            self._calls.setdefault(key, _Call()).add(piece)
        return True

    def whole(self) -> list[dict[str, Any]]:
        """The calls in their order, as they stand in an answer that is not streamed."""
        return [call.whole() for _, call in sorted(self._calls.items())]


class _Call:
    """Arguments are joined; of all else what is there counts, for some servers repeat it or leave it empty later."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._function: dict[str, Any] = {}
        self._arguments: list[str] = []

    def add(self, piece: dict[str, Any]) -> None:
        function = piece.get("function")
        self._fields |= _said(piece, without=("index", "function"))
        if isinstance(function, dict):
            arguments = function.get(_ARGUMENTS)
            if isinstance(arguments, str):
                self._arguments.append(arguments)
            self._function |= _said(function, without=(_ARGUMENTS,) if self._arguments else ())

    def whole(self) -> dict[str, Any]:
        arguments = {_ARGUMENTS: "".join(self._arguments)} if self._arguments else {}
        return {**self._fields, "function": {**self._function, **arguments}}


def with_arguments(calls: Any) -> Any:
    """The calls with their arguments as JSON, where they are a text that is JSON."""
    if not isinstance(calls, list):
        return calls
    return [_with_arguments(call) for call in calls]


def _are_pieces(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(
        isinstance(one, dict) and one.keys() & {"index", "function"} for one in value
    )


def _said(piece: dict[str, Any], *, without: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in piece.items() if name not in without and value not in (None, "")}


def _with_arguments(call: Any) -> Any:
    match call:
        case {"function": {"arguments": str(arguments)}}:
            try:
                read = decode(arguments)
            except (ValueError, RecursionError):
                return call
            return {**call, "function": {**call["function"], _ARGUMENTS: read}}
    return call
