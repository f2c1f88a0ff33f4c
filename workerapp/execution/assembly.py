"""An answer that comes in pieces: what the events of a stream have of the output, put together."""

from __future__ import annotations

from typing import Any

from workerapp.contract.json_values import as_text, decode, storable, storable_text
from workerapp.contract.mapping import OUTPUT, TOOL_CALLS, MappedResponse, MappingFailed, ResponseMapping
from workerapp.contract.reasons import ErrorCode
from workerapp.execution.event_stream import ServerEvent
from workerapp.execution.tool_calls import ToolCalls

ERROR = "error"


class StreamBroken(Exception):
    """The stream holds no answer; `problem` and `quoted` say why."""

    def __init__(self, code: ErrorCode, problem: str, quoted: str = "") -> None:
        super().__init__(problem)
        self.code, self.problem, self.quoted = code, problem, quoted


class Assembly:
    """One answer; the pieces of the output and of tool calls are joined, of each other field the last value counts."""

    def __init__(self, mapping: ResponseMapping | None) -> None:
        """Without a mapping the data of every event is a piece of the output."""
        self._mapping = mapping
        self._pieces: list[str] = []
        self._extra: dict[str, Any] = {}
        self._calls = ToolCalls()
        self._has_begun = False
        self._last = ""

    def add(self, event: ServerEvent) -> bool:
        """Take an event; whether it is the first with something of the output, or of a tool call.

        Raises:
            StreamBroken: it tells of an error, or is not what the mapping can read.
        """
        self._last = event.data
        if event.type == ERROR:
            raise StreamBroken(ErrorCode.RESPONSE_INVALID, "and then an error in its stream", event.data)
        found = {OUTPUT: event.data} if self._mapping is None else self._search(self._mapping, event.data)
        piece = as_text(found.pop(OUTPUT, ""))
        calls = found.get(TOOL_CALLS)
        if calls and self._calls.add(calls):
            del found[TOOL_CALLS]
        self._extra |= found
        is_first = bool(piece or calls) and not self._has_begun
        self._has_begun = self._has_begun or is_first
        self._pieces.append(piece)
        return is_first

    def result(self) -> MappedResponse:
        """The whole.

        Raises:
            StreamBroken: no event had anything of the output, or of a tool call.
        """
        if not self._has_begun:
            raise StreamBroken(
                ErrorCode.OUTPUT_MISSING, "but no event of its stream has anything of the output", self._last
            )
        calls = self._calls.whole()
        extra = self._extra | ({TOOL_CALLS: calls} if calls else {})
        return MappedResponse(output=storable_text("".join(self._pieces)), extra=storable(extra))

    @staticmethod
    def _search(mapping: ResponseMapping, data: str) -> dict[str, Any]:
        try:
            document = decode(data)
            found = mapping.search(document)
        except MappingFailed as exc:
            raise StreamBroken(ErrorCode.RESPONSE_INVALID, f"but {exc}", data) from None
        except RecursionError:
            problem = "with JSON in its stream that is nested too deeply"
            raise StreamBroken(ErrorCode.RESPONSE_INVALID, problem) from None
        except ValueError:
            raise StreamBroken(ErrorCode.RESPONSE_NOT_JSON, "with an event that is not JSON", data) from None
        if OUTPUT not in found and isinstance(document, dict) and document.get(ERROR):
            raise StreamBroken(ErrorCode.RESPONSE_INVALID, "and then an error in its stream", data)
        return found
