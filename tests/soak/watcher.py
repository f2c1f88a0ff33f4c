"""Clients over HTTP that leave at random, are left, and come back with the cursor of their last whole frame."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

import aiohttp

from tests.soak.frames import Frame, FrameReader
from tests.soak.truth import Stored, Told
from workerapp.contract.events import TERMINAL_TYPES

EARLIEST = "earliest"
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=20)
#: A segment and a window so small that a server's buffers are soon full when the client does not read.
NARROW_SEGMENT, NARROW_WINDOW = 536, 4096
#: How a server says that it cannot answer now.
COMES_AGAIN = {502, 503, 504}

Query: TypeAlias = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How a client reads."""

    #: Seconds after which it leaves, on average.
    stays: float = 2.0
    #: Seconds until it comes back, at most.
    pause: float = 0.3
    #: Seconds that it does not read, at most, now and then.
    stalls: float = 0


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where a client asks, and as whom."""

    urls: Sequence[str]
    organization_id: UUID
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Query = field(default_factory=dict)


class Watcher(ABC):
    """One client; it is done when it has been told everything."""

    def __init__(self, access: Access, path: str, chance: random.Random, habits: Habits) -> None:
        self.access = access
        self._path = path
        self._chance = chance
        self._habits = habits
        self.told = Told()
        self.cursor: str | None = None
        self.is_done = False
        self.connections = 0
        self.deliveries = 0
        #: What became of connections.
        self.ends: Counter[str] = Counter()
        self.problems: list[str] = []
        self._total: int | None = None

    @property
    def resumes(self) -> int:
        return max(0, self.connections - 1)

    @abstractmethod
    def wants(self, row: Stored) -> bool:
        """Whether the event belongs to what was asked for; without the product's own word for it."""

    @abstractmethod
    async def visit(self, session: aiohttp.ClientSession) -> None:
        """Ask once, and read on for a while."""

    async def run(self) -> None:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, socket_factory=self._open_socket),
            headers=self.access.headers,
            timeout=TIMEOUT,
            read_bufsize=1024 if self._habits.stalls else 65_536,
        ) as session:
            while not self.is_done:
                try:
                    await self.visit(session)
                except (aiohttp.ClientError, OSError, TimeoutError):
                    self.ends["broken"] += 1
                await asyncio.sleep(self._chance.uniform(0, self._habits.pause))

    def url(self) -> str:
        return self._chance.choice(self.access.urls) + self._path

    def take(self, event: Mapping[str, Any]) -> None:
        """Check whose event it is, and keep it."""
        data = event["data"]
        if event["organization_id"] != str(self.access.organization_id) or data["task_id"] != event["subject"]:
            self.problems.append(f"{self._path} of {self.access.organization_id} was told {event}")
        self.told.add(event)
        self.deliveries += 1

    async def is_answered(self, response: aiohttp.ClientResponse) -> bool:
        if response.status == 200:
            self.connections += 1
            return True
        if response.status not in COMES_AGAIN:
            self.problems.append(f"{self._path} answered {response.status} {await response.text()}")
        self.ends[f"answered {response.status}"] += 1
        return False

    def expect(self, total: int) -> None:
        """Tell how many events there are, now that no more will come."""
        self._total = total

    def begin_anew(self) -> None:
        """Forget everything: the server has said that the cursor can be continued no more."""
        self.told, self.cursor = Told(), EARLIEST
        self.ends["reset"] += 1

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        if self._habits.stalls:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_WINDOW)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, NARROW_SEGMENT)
        return made


class StreamWatcher(Watcher):
    """Reads server-sent events."""

    async def visit(self, session: aiohttp.ClientSession) -> None:
        headers, query = {"Accept": "text/event-stream"}, dict(self.access.query)
        if self.cursor == EARLIEST:
            query["after"] = [EARLIEST]
        elif self.cursor is not None:
            headers["Last-Event-ID"] = self.cursor
        async with session.get(self.url(), params=_pairs(query), headers=headers) as response:
            if response.status == 204:
                self.is_done = True
            elif await self.is_answered(response):
                await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        now, frames = asyncio.get_running_loop().time, FrameReader()
        leaves_at = now() + self._chance.expovariate(1 / self._habits.stays)
        async for chunk in response.content.iter_any():
            leaves = now() > leaves_at
            whole = frames.feed(chunk[: self._chance.randrange(len(chunk) + 1)] if leaves else chunk)
            if not self._take_frames(whole):
                return
            if leaves:
                self.ends["left in the middle"] += 1
                return
            if self._habits.stalls and self._total is None and self._chance.random() < 0.01:
                await asyncio.sleep(self._chance.uniform(0, self._habits.stalls))
        self.ends["ended by the server"] += 1

    def _take_frames(self, frames: Sequence[Frame]) -> bool:
        """Whether to read on."""
        for frame in frames:
            self._take_frame(frame)
            if self.is_done or frame.kind == "reset":
                return False
        return True

    def _take_frame(self, frame: Frame) -> None:
        self.cursor = frame.cursor or self.cursor
        if frame.data is None:
            return
        content = json.loads(frame.data)
        if frame.kind != "message":
            self._heed(frame.kind, content)
        elif content["type"] == "snapshot":
            self.begin_at(content)
        else:
            self.take(content)

    def _heed(self, kind: str, notice: Mapping[str, Any]) -> None:
        if kind == "reset":
            self.begin_anew()
            return
        self.ends[kind] += 1
        if notice["cursor"] is not None and self._chance.random() < 0.5:
            self.cursor = notice["cursor"]

    def begin_at(self, snapshot: Mapping[str, Any]) -> None:
        self.problems.append(f"{self._path} was told a snapshot that it did not ask for: {snapshot}")


class SubjectWatcher(StreamWatcher):
    """Follows one task to its end."""

    def __init__(
        self, access: Access, task_id: str, chance: random.Random, habits: Habits, *, after: str | None = "0"
    ) -> None:
        super().__init__(access, f"/v1/tasks/{task_id}/events", chance, habits)
        self._task_id = task_id
        self.cursor = after
        self._begins_behind = 0

    def wants(self, row: Stored) -> bool:
        return row.subject == self._task_id and row.seq > self._begins_behind

    def take(self, event: Mapping[str, Any]) -> None:
        super().take(event)
        if event["subject"] != self._task_id:
            self.problems.append(f"{self._path} was told {event}")
        self.is_done = event["type"] in TERMINAL_TYPES

    def begin_at(self, snapshot: Mapping[str, Any]) -> None:
        if self.told.count or self._begins_behind:
            super().begin_at(snapshot)
        self._begins_behind = snapshot["seq"]
        self.is_done = snapshot["data"]["status"] in {"SUCCESS", "FAILURE", "REVOKED"}

    def begin_anew(self) -> None:
        self.problems.append(f"{self._path} was reset")
        super().begin_anew()


class OrganizationFilter(Watcher):
    """Asks for the events of an organization, and is done when it has as many as there are."""

    def __init__(self, access: Access, chance: random.Random, habits: Habits) -> None:
        super().__init__(access, "/v1/events", chance, habits)
        self.cursor = EARLIEST

    def wants(self, row: Stored) -> bool:
        asked, query = (("types", row.type), ("task_name", row.task_name), ("status", row.status)), self.access.query
        is_ours = row.organization_id == self.access.organization_id
        return is_ours and all(name not in query or value in query[name] for name, value in asked)

    def take(self, event: Mapping[str, Any]) -> None:
        super().take(event)
        self._check_total()

    def expect(self, total: int) -> None:
        super().expect(total)
        self._check_total()

    async def is_at_the_end(self, session: aiohttp.ClientSession) -> bool:
        """Whether nothing is left behind the last cursor."""
        assert self.cursor is not None
        async with session.get(
            self.url(), params=_pairs({**self.access.query, "after": [self.cursor]}), headers=self.access.headers
        ) as response:
            return response.status == 200 and (await response.json())["items"] == []

    def _check_total(self) -> None:
        self.is_done = self._total is not None and self.told.count >= self._total


class OrganizationWatcher(OrganizationFilter, StreamWatcher):
    """Reads an organization's stream."""


class Poller(OrganizationFilter):
    """Asks for page after page; sometimes an answer does not reach it, and it asks again."""

    @property
    def resumes(self) -> int:
        """Only where something was amiss: every page goes on where the last one ended."""
        return self.ends["left in the middle"] + self.ends["broken"]

    async def visit(self, session: aiohttp.ClientSession) -> None:
        assert self.cursor is not None
        query = {**self.access.query, "after": [self.cursor], "limit": [str(self._chance.randint(1, 200))]}
        async with session.get(self.url(), params=_pairs(query)) as response:
            if response.status == 410:
                self.begin_anew()
            elif await self.is_answered(response):
                page = await response.json()
                if self._chance.random() < 0.05:
                    self.ends["left in the middle"] += 1
                    return
                self.cursor = page["cursor"]
                for event in page["items"]:
                    self.take(event)


def _pairs(query: Query) -> list[tuple[str, str]]:
    return [(name, value) for name, values in query.items() for value in values]
