"""A client of the gateway's REST API: requests with retries, streams with resume, problems as sentences."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self

import httpx

from gateway.cli.event_stream import StreamEvent, read_events
from gateway.cli.failures import CommandFailed, ServerUnreachable, UsageInvalid

#: What says that the server, or what stands before it, cannot serve just now.
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
#: The server lets a silent stream hear something every 15 seconds.
_STREAM_SILENCE = 40.0


class RequestRefused(CommandFailed):
    """The server refused a request; `code` is its problem's."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class RequestWrong(RequestRefused, UsageInvalid):
    """The server found something wrong with what was sent."""


class StreamUnavailable(Exception):
    """There is no stream to be had now; the state can still be asked for."""


class StreamOver(Exception):
    """The stream has nothing more to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long to go on: `answer` seconds for one answer, `outage` seconds while a server that was there is away."""

    answer: float = 60.0
    outage: float = 60.0


class GatewayClient:
    """One server and one API key; leave its `with` block to close the connections."""

    def __init__(self, server: str, api_key: str, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._reached = False
        self.server = _checked_server(server)
        if not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key):
            raise UsageInvalid("the API key has characters that no key has; it looks like tsg_…")
        self._http = httpx.Client(
            base_url=self.server,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "gateway-cli"},
            timeout=httpx.Timeout(self._patience.answer, connect=10.0),
            # A proxy is for the world outside.
            trust_env=not _is_this_machine(httpx.URL(self.server).host),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **parameters: str | int) -> dict[str, Any]:
        """Read something."""
        return self._send(self._http.build_request("GET", path, params=parameters))

    def post(self, path: str, body: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Create or start something; sent again after an interruption, it still happens once."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(self._http.build_request("POST", path, json=body, headers=headers))

    def delete(self, path: str) -> None:
        """Remove something."""
        self._send(self._http.build_request("DELETE", path))

    @contextmanager
    def events(self, path: str, last_event_id: str | None) -> Iterator[Iterator[StreamEvent]]:
        """Open a stream behind the last event that was received.

        Raises:
            StreamOver: everything was received.
            StreamUnavailable: the server gives no stream now.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx.Timeout(self._patience.answer, read=_STREAM_SILENCE, connect=10.0)
        try:
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    raise StreamOver
                if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                    raise StreamUnavailable
                yield read_events(response.iter_bytes())
        except httpx.TransportError as error:
            raise StreamUnavailable from error

    def _send(self, request: httpx.Request) -> dict[str, Any]:
        gives_up_at = time.monotonic() + (self._patience.outage if self._reached else 0)
        pause = _FIRST_PAUSE
        while True:
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                if time.monotonic() + pause > gives_up_at:
                    raise ServerUnreachable(f"{self.server} cannot be reached: {_reason(error)}") from error
            else:
                if response.status_code not in _TRY_AGAIN or time.monotonic() + pause > gives_up_at:
                    self._reached = True
                    return self._answer(response)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        body = {} if response.status_code == httpx.codes.NO_CONTENT else _json_object(response)
        if response.is_success and body is not None:
            return body
        if body is None or "code" not in body:
            raise ServerUnreachable(
                f"{response.request.url} answered HTTP {response.status_code}, and not as a gateway does; "
                f"is {self.server} the address of one?"
            )
        raise _refusal(response, body)


def _refusal(response: httpx.Response, problem: Mapping[str, Any]) -> CommandFailed:
    sentences = [str(problem.get("detail", problem["code"]))]
    sentences += [str(fault.get("detail")) for fault in problem.get("errors", ()) if fault.get("detail")]
    message = "\n".join(dict.fromkeys(sentences))
    if response.is_server_error or response.status_code in _TRY_AGAIN:
        return ServerUnreachable(f"the server could not do this ({problem['code']}): {message}")
    return RequestWrong(f"the server refused this ({problem['code']}): {message}", str(problem["code"]))


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        value = response.json()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _checked_server(server: str) -> str:
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL as error:
        raise UsageInvalid(f"{server!r} is not the address of a server: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise UsageInvalid(f"{server!r} is not the address of a server; it looks like http://127.0.0.1:8080")
    return server.rstrip("/")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__
