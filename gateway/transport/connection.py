"""One connection of a client that may be slow or hostile: uvicorn's HTTP protocol, with bounds on what it waits for.

uvicorn itself has no time for the head of a request, no limit to its size, and none to the number of connections that
it answers with. Responses, and so streams, are not bounded here.

Its parser takes what follows on a request to change to another protocol for that protocol. So a client that asks for
HTTP/2 on the way, as the one of the JDK does, would lose its body. Such a request is read anew without that (RFC 9110,
7.8).
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from uuid import uuid4

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.errors import ApiError, BadRequest, problem
from gateway.transport.answer_headers import protect
from gateway.transport.limits import ConnectionLimits
from gateway.transport.refusals import ConnectionsFull, HeadersTooLarge, RequestTooSlow, UrlTooLong

#: A refusal is lost when a connection is closed with bytes that nobody has read.
_LINGER_SECONDS = 1.0
#: The colon, the space and the end of a header's line.
_AROUND_HEADER = 4
#: Headers, and names in the header `Connection`, that ask for another protocol.
_OF_UPGRADE = (b"upgrade", b"http2-settings")


class BoundedConnection(HttpToolsProtocol):
    """Refuses heads that are too large or too slow, and leaves clients that go on sending what nobody reads."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._heads = 0  # how many have begun
        self._in_head = False
        self._in_body = False
        self._unparsed = 0  # bytes of a head, as far as nothing was made of them
        self._header_bytes = 0
        self._received = b""
        self._to_read_anew = b""
        self._refusal: ApiError | None = None
        self._is_refused = False
        self._is_leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self._limits.max_connections:
            self._refuse(ConnectionsFull("The server has as many connections as it may; try again shortly."))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def leave(self) -> None:
        """Answer what comes, say each time that it is the last one, and close then; not before, and not unsaid.

        Whoever sent a request on a connection that is being closed does not know whether it arrived (RFC 9112, 9.6).
        """
        self._is_leaving = True
        if self._is_answering and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        while data and not self._is_refused:
            self._received, self._to_read_anew = data, b""
            self._read(data)
            data = self._to_read_anew

    def _read(self, data: bytes) -> None:
        if not self._in_body:
            # Also for what begins no request, such as empty lines, which end uvicorn's own time.
            self._await_head()
        head = self._heads if self._in_head else 0
        super().data_received(data)
        if self._in_head and head == self._heads:
            self._unparsed += len(data)
            if self._unparsed > self._limits.max_header_bytes + self._limits.max_url_bytes:
                self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        self._heads += 1
        self._in_head, self._unparsed, self._header_bytes = True, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.max_url_bytes:
            self._stop_parsing(UrlTooLong(f"The URL is longer than {self._limits.max_url_bytes} bytes."))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + _AROUND_HEADER
        if self._header_bytes > self._limits.max_header_bytes or len(self.headers) >= self._limits.max_headers:
            self._stop_parsing(self._too_large())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._in_head, self._in_body = False, True
        if not self._asks_for_unknown_protocol:
            super().on_headers_complete()
            if self._is_leaving:
                self.leave()

    def on_message_complete(self) -> None:
        self._in_body = False
        if not self._asks_for_unknown_protocol:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete:
            # The rest of the body ends uvicorn's own time, and ours goes on until another request has begun.
            self._start_timer()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or BadRequest("This is no HTTP/1.1 request that can be read."))

    def _unsupported_upgrade_warning(self) -> None:
        """What uvicorn calls where the parser has stopped behind such a request; the error says where that is."""
        stopped = sys.exc_info()[1]
        if self._asks_for_unknown_protocol and stopped is not None:
            rest = self._received[stopped.args[0] :]
            self._to_read_anew = _without_upgrade(self.parser.get_method(), self.url, self.headers) + rest
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it

    @property
    def _asks_for_unknown_protocol(self) -> bool:
        return self.parser.should_upgrade() and not self._should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _await_head(self) -> None:
        if self._timer is None:
            self._start_timer()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self._limits.head_seconds, self._time_is_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if self._is_answering:
            # What comes behind a request is looked at when that one is answered.
            self._start_timer()
        elif self._in_head:
            seconds = self._limits.head_seconds
            self._refuse(RequestTooSlow(f"The head of the request did not arrive within {seconds:g} seconds."))
        else:
            self.transport.close()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _too_large(self) -> HeadersTooLarge:
        most = self._limits
        return HeadersTooLarge(
            f"The head of a request may have {most.max_headers} headers and {most.max_header_bytes} bytes of them."
        )

    def _stop_parsing(self, refusal: ApiError) -> None:
        """The parser hands it on as an error of its own, for which uvicorn has an answer: `send_400_response`."""
        self._refusal = refusal
        raise refusal

    def _refuse(self, error: ApiError) -> None:
        """Answer, unless another answer has begun, and close; what still comes is thrown away."""
        self._is_refused = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        if self._is_answering:
            self.transport.close()
            return
        self.transport.write(_answer(error))
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)


def _without_upgrade(method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of a request that stays with HTTP/1.1."""
    lines = [b"%b %b HTTP/1.1" % (method, url)]
    for name, value in headers:
        if name == b"connection":
            kept = [one for one in value.split(b",") if one.strip().lower() not in _OF_UPGRADE]
            lines += [b"%b: %b" % (name, b",".join(kept))] if kept else []
        elif name not in _OF_UPGRADE:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])


def _answer(error: ApiError) -> bytes:
    request_id = uuid4().hex
    response = problem(error, request_id)
    protect(response.headers, request_id)
    lines = [STATUS_LINE[error.status].rstrip(), *(b"%b: %b" % header for header in response.raw_headers)]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(response.body)])
