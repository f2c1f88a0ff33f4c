"""A client that tries nothing twice: what fails is written down, and how long each answer took."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp


class Failed(Exception):
    """There was no good answer."""


@dataclass(kw_only=True)
class Requests:
    """What became of all requests."""

    count: int = 0
    #: By what was asked, and how it failed.
    failures: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_name: str = ""

    def note(self, name: str, seconds: float) -> None:
        self.count += 1
        if seconds > self.slowest:
            self.slowest, self.slowest_name = seconds, name


class Caller:
    """Asks through one session, whose connections to the proxy are kept as any client's are."""

    def __init__(self, session: aiohttp.ClientSession, url: str, requests: Requests) -> None:
        self._session, self._url, self._requests = session, url, requests

    async def get(self, path: str, *, waits: float = 0, **query: str) -> Any:
        """An answer; `waits` are seconds that the gateway is asked to wait for news, which are not slowness."""
        headers = {"Prefer": f"wait={waits:g}"} if waits else {}
        return await self._ask("GET", path, params=query, headers=headers, is_timed=not waits)

    async def post(self, path: str, body: Any) -> Any:
        """The same, with a body: never sent again, and without an idempotency key."""
        return await self._ask("POST", path, json=body, is_timed=True)

    async def _ask(self, method: str, path: str, *, is_timed: bool, **arguments: Any) -> Any:
        name, began = f"{method} {path.split('/')[2]}", time.monotonic()
        try:
            async with self._session.request(method, self._url + path, **arguments) as response:
                await response.read()
                how = "" if response.ok else str(response.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            how = type(error).__name__
        self._requests.note(name, time.monotonic() - began if is_timed else 0)
        if how:
            self._requests.failures[f"{name}: {how}"] += 1
            raise Failed(f"{name}: {how}")
        return await response.json()
