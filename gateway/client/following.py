"""One stream to its end, over as many connections as it takes: what to ask with, what came, when to come back.

Nothing here waits or connects, so it is the same for both clients. The cursor moves with whole frames only: what was
cut off in the middle comes again, and what was given does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypedDict

import httpx
from pydantic import ValidationError

from gateway.client.calls import Parameters
from gateway.client.errors import (
    GatewayError,
    NotAGateway,
    RequestRefused,
    ServerUnreachable,
    StreamUnavailable,
    error_of,
)
from gateway.client.frames import Frame, FrameReader
from gateway.client.line import SILENCE, Line
from gateway.client.models import Event
from gateway.client.patience import backoff
from gateway.client.subject import HasSubject

_MEDIA_TYPE = "text/event-stream"
_LONGEST_PAUSE = 15.0
_NAMED = frozenset({"reset", "lagged", "draining", "unauthorized"})


class StreamRequest(TypedDict):
    """What both kinds of httpx's clients open a stream with."""

    method: str
    url: str
    params: dict[str, Any]
    headers: dict[str, str]
    timeout: httpx.Timeout


class Following:
    """How far one stream is."""

    def __init__(
        self,
        line: Line,
        path: str,
        *,
        after: str | None = None,
        parameters: Parameters | None = None,
        has_end: bool = True,
        insists: bool = True,
        within: float | None = None,
    ) -> None:
        self._path = path
        self._line = line
        self._parameters: dict[str, Any] = {**(parameters or {}), **({"after": after} if after else {})}
        self._has_end = has_end
        self._insists = insists  # waits for a stream where there is none now
        #: When to leave for questions, which can be answered in time: a stream may be silent for so long.
        self._until = None if within is None else time.monotonic() + within - SILENCE
        self._reader = FrameReader()
        self._cursor: str | None = None
        self._began_behind: str | None = None  # the cursor that this connection began with
        self._retry = 1.0
        self._failures = 0  # connections in a row that brought nothing
        self._failing_since: float | None = None
        self._has_heard = False  # something of the gateway's, over this connection
        self._has_lagged = False
        self._lacks = False  # the log no longer has what is behind the cursor
        self._is_over = self._until is not None and self._until <= time.monotonic()

    def is_over(self) -> bool:
        """Whether there is nothing more to do."""
        return self._is_over

    def request(self) -> StreamRequest:
        """How to connect the next time; the header wins over where it once began."""
        self._reader, self._has_heard, self._has_lagged = FrameReader(), False, False
        self._began_behind = self._cursor
        cursor = {"Last-Event-ID": self._cursor} if self._cursor else {}
        return {
            "method": "GET",
            "url": self._path,
            "params": self._parameters,
            "headers": {"Accept": _MEDIA_TYPE, "Cache-Control": "no-store", **cursor},
            "timeout": self._line.stream_timeout(),
        }

    def accepts(self, response: httpx.Response) -> bool:
        """Whether a stream follows; if it does not and this is not the end, `refuse` tells why."""
        if response.status_code == httpx.codes.NO_CONTENT:
            self._is_over = True
        return response.is_success and response.headers.get("Content-Type", "").startswith(_MEDIA_TYPE)

    def refuse(self, response: httpx.Response) -> GatewayError:
        """What an answer means that is no stream."""
        if response.is_success:
            return NotAGateway(
                f"{self._path} was answered with {response.headers.get('Content-Type', 'nothing')}, and no stream"
            )
        failure = error_of(response)
        self._line.contact.was_reached |= isinstance(failure, RequestRefused)
        return failure

    def take(self, chunk: bytes) -> Iterator[Event]:
        """The events that this chunk completes."""
        for frame in self._reader.feed(chunk):
            if frame.retry is not None:
                self._retry = frame.retry / 1000
            if frame.id is not None or frame.name in _NAMED:
                self._hear()
            self._has_lagged |= frame.name == "lagged"
            self._lacks |= frame.name == "reset"
            self._cursor = frame.id or self._cursor
            if frame.data is not None and frame.name == "message":
                yield self._event(frame, frame.data)
        self._is_over |= self._until is not None and time.monotonic() >= self._until

    def pause(self, failure: GatewayError | None) -> float:
        """Seconds until the next connection, after one that failed or simply ended.

        Raises:
            StreamUnavailable: there is none now, and this does not insist on one.
            GatewayError: the failure, if it cannot pass or there was enough patience.
        """
        if isinstance(failure, RequestRefused | NotAGateway) and not self._insists:
            raise StreamUnavailable(str(failure)) from failure
        if failure is None and not self._has_heard:
            # As a proxy answers whose gateway is away.
            failure = ServerUnreachable(f"{self._line.server} gives streams in which there is nothing")
        pause, now = self._next_pause(failure), time.monotonic()
        if failure is not None:
            self._failures += 1
            self._failing_since = self._failing_since or now
            if not failure.may_pass or now + pause > self._failing_since + self._patience:
                raise failure
        if self._until is not None:
            self._is_over = now + pause >= self._until
            pause = min(pause, max(self._until - now, 0.0))
        return pause

    @property
    def _patience(self) -> float:
        return self._line.patience.outage if self._line.contact.was_reached else 0.0

    def _next_pause(self, failure: GatewayError | None) -> float:
        if self._has_lagged and self._cursor != self._began_behind:
            return 0.0  # who reads slowly has no time to lose
        # Never earlier than the gateway says, which is another moment for each client.
        pause = max(self._retry, backoff(self._retry, self._failures, _LONGEST_PAUSE))
        return max(pause, failure.retry_after or 0.0) if failure else pause

    def _hear(self) -> None:
        self._has_heard, self._failures, self._failing_since = True, 0, None
        self._line.contact.was_reached = True

    def _event(self, frame: Frame, data: str) -> Event:
        try:
            event = Event.model_validate_json(data)
        except ValidationError as error:
            raise NotAGateway(f"{self._path} has an event that is none of a gateway's") from error
        event = event.model_copy(update={"cursor": frame.id, "follows_gap": self._lacks})
        self._lacks = False
        self._is_over |= self._has_end and event.is_last
        return event


def stream_of(
    line: Line, followed: HasSubject[Any], after: str | None, *, insists: bool = True, within: float | None = None
) -> Following:
    """The stream of a task, run or group."""
    return Following(line, f"{followed.subject.path}/events", after=after, insists=insists, within=within)


def stream_of_organization(line: Line, after: str | None, filters: Parameters) -> Following:
    """The stream of everything."""
    return Following(line, "/v1/events", after=after, parameters=filters, has_end=False)
