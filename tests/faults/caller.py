"""A caller who never gives up: what one gateway does not answer is asked of the next, with the same idempotency key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from threading import Event
from typing import Any
from uuid import uuid4

import httpx

from tests.stack.client import StreamEvent, parse

TIMEOUT = httpx.Timeout(10, read=30)
PAUSE = 0.2


class GaveUp(Exception):
    """The fault run was ended before the gateways answered."""


class Caller:
    """One client of all gateways; each thread has its own."""

    def __init__(self, urls: Sequence[str], key: str, over: Event) -> None:
        self._urls = cycle(urls)
        self._over = over
        self._http = httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT)
        #: How many streams were answered.
        self.connections = 0

    def close(self) -> None:
        self._http.close()

    def post(self, path: str, body: Any) -> Any:
        """Ask until there is an answer.

        Raises:
            GaveUp: the fault run is over.
        """
        headers = {"Idempotency-Key": str(uuid4())}
        while True:
            response = self._try_post(next(self._urls) + path, body, headers)
            if response is not None:
                assert response.is_success, f"{path}: {response.status_code} {response.text}"
                return response.json()
            if self._over.wait(PAUSE):
                raise GaveUp(path)

    def _try_post(self, url: str, body: Any, headers: dict[str, str]) -> httpx.Response | None:
        try:
            response = self._http.post(url, json=body, headers=headers)
        except httpx.TransportError:
            return None
        comes_again = response.status_code >= 500 or response.status_code == httpx.codes.CONFLICT
        return None if comes_again else response

    def follow(self, path: str, cursor: str) -> Iterator[StreamEvent]:
        """The events after a cursor, over as many connections as it takes.

        Raises:
            GaveUp: the fault run is over.
        """
        while True:
            try:
                for event in self._events(next(self._urls) + path, cursor):
                    cursor = event.cursor or cursor
                    yield event
            except httpx.HTTPError:
                pass
            if self._over.wait(PAUSE):
                raise GaveUp(path)

    def _events(self, url: str, cursor: str) -> Iterator[StreamEvent]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": cursor}
        with self._http.stream("GET", url, headers=headers) as response:
            response.raise_for_status()
            self.connections += 1
            yield from parse(response.iter_lines())
