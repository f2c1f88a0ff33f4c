"""What callers do while everything is restarted: they submit, read, wait, poll and watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.faults.load import tests_of_a_run
from tests.rolling.caller import Caller, Failed, Requests
from tests.rolling.streams import EVERYTHING, EventSource, Follower, Socket
from tests.stack.client import FINAL

TIMEOUT = aiohttp.ClientTimeout(total=60)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many callers there are of each kind."""

    submitters: int = 2
    runners: int = 1
    readers: int = 2
    #: Callers that send what is not idempotent, all the time.
    posters: int = 4
    event_sources: int = 2
    #: Seconds between two things that a caller does.
    pause: float = 0.05


@dataclass(kw_only=True)
class Ledger:
    """What the gateways have accepted, by their answers."""

    tasks: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


class Load:
    """All callers of one organization; each goes on until it is enough, and then to the end of what it has begun."""

    def __init__(self, url: str, key: str, target: str, size: Size) -> None:
        self._url, self._target, self._size = url, target, size
        self._headers = {"Authorization": f"Bearer {key}"}
        self._enough = asyncio.Event()
        self.requests = Requests()
        self.ledger = Ledger()
        self.streams: list[Follower] = []
        self.polled = 0

    async def run(self, meanwhile: Callable[[], Coroutine[Any, Any, None]], expected: Callable[[], int]) -> None:
        """Call until `meanwhile` has ended; then streams are read until each has as many events as are expected."""
        async with aiohttp.ClientSession(headers=self._headers, timeout=TIMEOUT) as session:
            caller = Caller(session, self._url, self.requests)
            configuration = await self._configure(caller)
            self._open_streams(session)
            async with asyncio.TaskGroup() as watching:
                for stream in self.streams:
                    watching.create_task(stream.run())
                async with asyncio.TaskGroup() as calling:
                    self._start(calling, watching, session, caller, configuration)
                    await meanwhile()
                    self._enough.set()
                total = await asyncio.to_thread(expected)
                for stream in self.streams:
                    if stream.is_of_everything:
                        stream.expect(total)

    def _open_streams(self, session: aiohttp.ClientSession) -> None:
        kinds = [*[EventSource] * self._size.event_sources, Socket]
        self.streams += [kind(session, self._url, EVERYTHING, "earliest") for kind in kinds]

    def _start(
        self,
        calling: asyncio.TaskGroup,
        watching: asyncio.TaskGroup,
        session: aiohttp.ClientSession,
        caller: Caller,
        configuration: str,
    ) -> None:
        async def execute() -> None:
            run = (await caller.post(f"/v1/test-configurations/{configuration}/execute", {}))["test_run_id"]
            self.ledger.runs.append(run)
            stream = EventSource(session, self._url, f"/v1/test-runs/{run}/events", "0")
            self.streams.append(stream)
            watching.create_task(stream.run())
            while (await caller.get(f"/v1/test-runs/{run}", waits=2))["status"] not in FINAL:
                pass

        async def submit() -> None:
            body = {"name": "tests.faults.count", "args": [len(self.ledger.tasks)]}
            task = (await caller.post("/v1/tasks", body))["task_id"]
            self.ledger.tasks.append(task)
            while (await caller.get(f"/v1/tasks/{task}"))["status"] not in FINAL:  # noqa: ASYNC110 - as callers do
                await asyncio.sleep(self._size.pause)

        async def read() -> None:
            for path in ("/v1/tasks", "/v1/test-runs", "/v1/endpoints"):
                await caller.get(path, limit="20")

        async def make_ticket() -> None:
            await caller.post("/v1/stream-tickets", {})

        size = self._size
        for what, number in (
            (execute, size.runners),
            (submit, size.submitters),
            (read, size.readers),
            (make_ticket, size.posters),
        ):
            for _ in range(number):
                calling.create_task(self._repeat(what))
        calling.create_task(self._poll(caller))

    async def _repeat(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not self._enough.is_set():
            # What failed is noted, and the caller goes on with something new.
            with suppress(Failed):
                await what()
            await asyncio.sleep(self._size.pause)

    async def _poll(self, caller: Caller) -> None:
        cursor = "earliest"
        while not self._enough.is_set():
            with suppress(Failed):
                page = await caller.get(EVERYTHING, after=cursor)
                cursor = page["cursor"]
                self.polled += len(page["items"])
            await asyncio.sleep(self._size.pause)

    async def _configure(self, caller: Caller) -> str:
        application = {"url": self._target, "request": {"input": "{{ input }}"}, "response": {"output": "$.output"}}
        endpoint = (await caller.post("/v1/endpoints", {"name": "app", **application}))["id"]
        test_set = (await caller.post("/v1/test-sets", {"name": "questions", "tests": tests_of_a_run()}))["id"]
        body = {"name": "rolling", "endpoint_id": endpoint, "test_set_id": test_set, "metrics": [{"type": "equals"}]}
        return str((await caller.post("/v1/test-configurations", body | {"concurrency": 10}))["id"])
