"""Clients over HTTP that leave at random, are left, and come back with the cursor of their last whole frame."""

from __future__ import annotations

import asyncio
import random
import socket
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

import aiohttp

from tests.soak.truth import Stored, Told

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

    async def is_at_the_end(self, session: aiohttp.ClientSession) -> bool:
        """Whether nothing is left behind the last cursor."""
        return True

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

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        if self._habits.stalls:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_WINDOW)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, NARROW_SEGMENT)
        return made


class StreamWatcher(Watcher):
    """What every protocol of streams has in common."""

    def hear(self, kind: str, cursor: str | None, content: Mapping[str, Any] | None) -> bool:
        """Take what the server says; false if this connection is of no more use."""
        if kind == "message":
            self.cursor = cursor or self.cursor
            if content is not None:
                self._take_envelope(content)
            return not self.is_done
        self.ends[kind] += 1
        if kind == "reset":
            self.begin_anew()
            return False
        # Its own cursor and the one that the server names are both right.
        if cursor is not None and self._chance.random() < 0.5:
            self.cursor = cursor
        return True

    def begin_at(self, snapshot: Mapping[str, Any]) -> None:
        """Begin behind a snapshot."""
        self.problems.append(f"{self._path} was told a snapshot that it did not ask for: {snapshot}")

    def _take_envelope(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "snapshot":
            self.begin_at(event)
        else:
            self.take(event)

    async def stall(self) -> None:
        """Read nothing for a while, now and then; at the end everybody hurries."""
        if self._habits.stalls and self._total is None and self._chance.random() < 0.01:
            await asyncio.sleep(self._chance.uniform(0, self._habits.stalls))

    def leaves_at(self) -> float:
        """The moment, by the loop's clock, at which it leaves this connection."""
        return asyncio.get_running_loop().time() + self._chance.expovariate(1 / self._habits.stays)


def pairs(query: Query) -> list[tuple[str, str]]:
    """A query as aiohttp and urllib take it."""
    return [(name, value) for name, values in query.items() for value in values]
