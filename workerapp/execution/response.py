"""The response of an endpoint: read within its limits, and mapped to the output under test."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from workerapp.contract.json_values import decode, storable, storable_text
from workerapp.contract.mapping import MappedResponse, MappingFailed, ResponseMapping, compile_mapping
from workerapp.contract.reasons import ErrorCode
from workerapp.contract.specs import EndpointSpec
from workerapp.execution.assembly import Assembly, StreamBroken
from workerapp.execution.event_stream import StreamTooLarge, read_events
from workerapp.execution.failures import Failure, FailureReader
from workerapp.execution.guard import read_at_most
from workerapp.execution.trace import Content

EVENT_STREAM, DONE = "text/event-stream", "[DONE]"
_OK, _REDIRECT = 200, 300
_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16"})


class ResponseReader:
    """Reads the responses of one endpoint."""

    def __init__(self, spec: EndpointSpec, failures: FailureReader) -> None:
        self._failures, self._limit = failures, spec.max_response_bytes
        self._is_stream = spec.stream
        self._mapping = None if spec.response == "text" else compile_mapping(spec.response)

    async def read(
        self, response: aiohttp.ClientResponse, began: Callable[[], None], content: Content
    ) -> MappedResponse | Failure:
        """The mapped response, or what is wrong with it; a connection that ends raises what the client raises.

        `content` is its body. `began` is called when the answer has begun: of a stream, with its first piece.
        """
        if self._is_stream and _OK <= response.status < _REDIRECT:
            return await self._read_stream(response, began, content)
        began()
        payload, complete = await read_at_most(content, self._limit)
        if not _OK <= response.status < _REDIRECT:
            return self._failures.of_status(response.status, response.headers, payload)
        if not complete:
            return self._too_large(response.status)
        if self._mapping is None:
            return MappedResponse(output=_text(payload, response.charset))
        return self._map(self._mapping, response.status, payload)

    async def _read_stream(
        self, response: aiohttp.ClientResponse, began: Callable[[], None], content: Content
    ) -> MappedResponse | Failure:
        if response.content_type != EVENT_STREAM:
            payload, _ = await read_at_most(content, self._limit)
            problem = f"with {response.content_type} and not with a stream of events"
            return self._failures.of_body(ErrorCode.RESPONSE_INVALID, response.status, problem, payload)
        assembly = Assembly(self._mapping)
        try:
            async for event in read_events(content, self._limit):
                if event.data.strip() == DONE:
                    break
                if assembly.add(event):
                    began()
            return assembly.result()
        except StreamTooLarge:
            return self._too_large(response.status)
        except StreamBroken as exc:
            return self._failures.of_body(exc.code, response.status, exc.problem, exc.quoted.encode("utf-8", "replace"))

    def _too_large(self, status: int) -> Failure:
        problem = f"with more than {self._limit} bytes"
        return self._failures.of_body(ErrorCode.RESPONSE_TOO_LARGE, status, problem, b"")

    def _map(self, mapping: ResponseMapping, status: int, payload: bytes) -> MappedResponse | Failure:
        failed = self._failures.of_body
        try:
            mapped = mapping.apply(decode(payload))
            return MappedResponse(output=storable(mapped.output), extra=storable(mapped.extra))
        except MappingFailed as exc:
            return failed(ErrorCode.OUTPUT_MISSING, status, f"but {exc}", payload)
        except RecursionError:
            return failed(ErrorCode.RESPONSE_INVALID, status, "with JSON that is nested too deeply", payload)
        except ValueError:
            return failed(ErrorCode.RESPONSE_NOT_JSON, status, "with a body that is not JSON", payload)


def _text(payload: bytes, charset: str | None) -> str:
    """The body as a text; any charset may be claimed, so only common ones are taken at their word."""
    known = (charset or "").lower() if (charset or "").lower() in _CHARSETS else "utf-8"
    return storable_text(payload.decode(known, "replace"))
