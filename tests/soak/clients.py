"""Clients of each protocol: server-sent events, WebSocket, and pages of JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.soak.asked import OrganizationWatcher, SubjectWatcher
from tests.soak.frames import FrameReader
from tests.soak.watcher import EARLIEST, StreamWatcher, pairs

LEFT = "left in the middle"


class SseWatcher(StreamWatcher):
    """Reads server-sent events."""

    async def visit(self, session: aiohttp.ClientSession) -> None:
        headers, query = {"Accept": "text/event-stream"}, dict(self.access.query)
        if self.cursor == EARLIEST:
            query["after"] = [EARLIEST]
        elif self.cursor is not None:
            headers["Last-Event-ID"] = self.cursor
        async with session.get(self.url(), params=pairs(query), headers=headers) as response:
            if response.status == 204:
                self.is_done = True
            elif await self.is_answered(response):
                await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        now, leaves_at, frames = asyncio.get_running_loop().time, self.leaves_at(), FrameReader()
        async for chunk in response.content.iter_any():
            leaves = now() > leaves_at
            seen = chunk[: self._chance.randrange(len(chunk) + 1)] if leaves else chunk
            for frame in frames.feed(seen):
                content = None if frame.data is None else json.loads(frame.data)
                cursor = frame.cursor if frame.kind == "message" else content["cursor"]
                if not self.hear(frame.kind, cursor, content):
                    return
            if leaves:
                self.ends[LEFT] += 1
                return
            await self.stall()
        self.ends["ended by the server"] += 1


class SocketWatcher(StreamWatcher):
    """Subscribes over a WebSocket."""

    async def visit(self, session: aiohttp.ClientSession) -> None:
        url = self._chance.choice(self.access.urls) + "/v1/ws"
        to = self._path + ("?" + urlencode(pairs(self.access.query)) if self.access.query else "")
        async with session.ws_connect(url) as socket:
            await socket.send_json({"type": "subscribe", "id": "all", "to": to, "after": self.cursor})
            await self._read(socket)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        now, leaves_at = asyncio.get_running_loop().time, self.leaves_at()
        async for message in socket:
            if not self._take_message(json.loads(message.data)):
                return
            if now() > leaves_at:
                self.ends[LEFT] += 1
                socket._response.close()
                return
            await self.stall()
        self.ends["ended by the server"] += 1

    def _take_message(self, message: dict[str, Any]) -> bool:
        kind, cursor = message["type"], message.get("cursor")
        if kind in {"event", "ping"}:
            return self.hear("message", cursor, message.get("event"))
        if kind == "subscribed":
            self.connections += 1
        elif kind == "end":
            self.is_done = True
        elif kind == "error":
            self.ends[f"answered {message['error']['code']}"] += 1
            return False
        else:
            return self.hear(kind, cursor, None)
        return not self.is_done


class SubjectStream(SubjectWatcher, SseWatcher):
    """Follows a task by server-sent events."""


class SubjectSocket(SubjectWatcher, SocketWatcher):
    """Follows a task over a WebSocket."""


class OrganizationStream(OrganizationWatcher, SseWatcher):
    """Follows an organization by server-sent events."""


class OrganizationSocket(OrganizationWatcher, SocketWatcher):
    """Follows an organization over a WebSocket."""


class Poller(OrganizationWatcher):
    """Asks for page after page; sometimes an answer does not reach it, and it asks again."""

    @property
    def resumes(self) -> int:
        """Only where something was amiss: every page goes on where the last one ended."""
        return self.ends[LEFT] + self.ends["broken"]

    async def visit(self, session: aiohttp.ClientSession) -> None:
        assert self.cursor is not None
        query = {**self.access.query, "after": [self.cursor], "limit": [str(self._chance.randint(1, 200))]}
        async with session.get(self.url(), params=pairs(query)) as response:
            if response.status == 410:
                self.ends["reset"] += 1
                self.begin_anew()
            elif await self.is_answered(response):
                page = await response.json()
                if self._chance.random() < 0.05:
                    self.ends[LEFT] += 1
                    return
                self.cursor = page["cursor"]
                for event in page["items"]:
                    self.take(event)
