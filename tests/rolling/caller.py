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
    #: By how it failed; the texts are a few of each.
    failures: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_name: str = ""

    def note(self, name: str, seconds: float) -> None:
        self.count += 1
        if seconds > self.slowest:
            self.slowest, self.slowest_name = seconds, name

    def fail(self, name: str, how: str) -> None:
        self.failures[f"{name}: {how}"] += 1


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
                text = await response.text()
                if response.status >= 400:
                    self._requests.texts.append(text[:300])
                    raise Failed(str(response.status))
                return await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, Failed) as error:
            how = str(error) if isinstance(error, Failed) else type(error).__name__
            self._requests.fail(name, how)
            raise Failed(f"{name}: {how}") from error
        finally:
            self._requests.note(name, time.monotonic() - began if is_timed else 0)
