"""Clients of streams: they come back with the cursor after the pause that they were told, and after nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any

import aiohttp

from tests.soak.frames import Frame, FrameReader
from tests.soak.truth import Told
from workerapp.contract.events import TERMINAL_TYPES

EVERYTHING = "/v1/events"
NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=45)


class Follower(ABC):
    """One client of one stream; it is done at the end of a run, or when it has as many events as there are."""

    def __init__(self, session: aiohttp.ClientSession, url: str, path: str, cursor: str) -> None:
        self._session, self._url, self._path, self.cursor = session, url, path, cursor
        self.told = Told()
        self.is_done = False
        self.connections = 0
        #: Why connections ended.
        self.ends: Counter[str] = Counter()
        #: Seconds without a stream, at most: what it was told to wait, and until it was answered again.
        self.longest_gap = 0.0
        self._left_at: float | None = None
        #: Seconds until it comes back; an EventSource is told them.
        self._pause = 1.0
        self._total: int | None = None

    @property
    def is_of_everything(self) -> bool:
        return self._path == EVERYTHING

    @property
    def subject(self) -> str:
        """The run whose stream it is."""
        return self._path.split("/")[-2]

    @property
    def name(self) -> str:
        return f"{type(self).__name__} of {self._path}"

    @property
    def resumptions(self) -> int:
        return max(0, self.connections - 1)

    async def run(self) -> None:
        while not self.is_done:
            try:
                await self._visit()
                self.ends["ended"] += 1
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self.ends[type(error).__name__] += 1
            self._left_at = self._left_at or time.monotonic()
            if not self.is_done:
                await asyncio.sleep(self._pause)

    @abstractmethod
    async def _visit(self) -> None:
        """Read on until the connection ends."""

    def expect(self, total: int) -> None:
        """Tell how many events there are, now that no more will come."""
        self._total = total
        self._look_for_the_end()

    def _greeted(self) -> None:
        self.connections += 1
        if self._left_at is not None:
            self.longest_gap = max(self.longest_gap, time.monotonic() - self._left_at)
        self._left_at = None

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "snapshot":
            self.ends["unexpected snapshot"] += 1
            return
        self.told.add(event)
        if not self.is_of_everything and event["type"] in TERMINAL_TYPES:
            self.is_done = True
        self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        if self._total is not None and self.told.count >= self._total:
            self.is_done = True


class EventSource(Follower):
    """Server-sent events, as a browser has them: any other answer than a stream ends it for good."""

    async def _visit(self) -> None:
        headers, query = {"Accept": "text/event-stream"}, {}
        if self.cursor in {"0", "earliest"}:
            query["after"] = self.cursor
        else:
            headers["Last-Event-ID"] = self.cursor
        url = self._url + self._path
        async with self._session.get(url, params=query, headers=headers, timeout=NO_TIMEOUT) as response:
            if response.status != 200:
                self.ends[f"answered {response.status}"] += 1
                self.is_done = True
                return
            await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        self._greeted()
        frames = FrameReader()
        async for chunk in response.content.iter_any():
            for frame in frames.feed(chunk):
                self._hear(frame)
            if self.is_done:
                return

    def _hear(self, frame: Frame) -> None:
        self._pause = self._pause if frame.retry is None else frame.retry / 1000
        if frame.kind != "message":
            self.ends[frame.kind] += 1
            return
        self.cursor = frame.cursor or self.cursor
        if frame.data is not None:
            self._take(json.loads(frame.data))


class Socket(Follower):
    """The same over a WebSocket."""

    async def _visit(self) -> None:
        async with self._session.ws_connect(self._url + "/v1/ws") as socket:
            await socket.send_json({"type": "subscribe", "id": "all", "to": self._path, "after": self.cursor})
            async for message in socket:
                self._hear(json.loads(message.data))
                if self.is_done:
                    return

    def _hear(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "subscribed":
            self._greeted()
        elif kind not in {"event", "ping"}:
            self.ends[kind] += 1
            return
        self.cursor = message.get("cursor") or self.cursor
        if "event" in message:
            self._take(message["event"])
