"""A lane: one member of a run's chord, which leases pending tests, executes them concurrently and records the results.

A lane works in slices. It starts only with the slice its message names, so a message delivered twice does nothing. Its
lease on itself and on its tests is renewed while it works; when its process dies the leases end and others take over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.contract.specs import ConfigurationSpec
from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import ROLE
from workerapp.db.statements import load
from workerapp.execution.credentials import TokenCache
from workerapp.execution.judges.endpoints import StoredEndpoints
from workerapp.execution.trial import LeasedTest, Trials, Unopened, open_trials
from workerapp.settings import LaneSettings, WorkerSettings

logger = logging.getLogger(__name__)

SQL = load("lanes")


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSlice:
    """One slice of one lane, for one tenant."""

    test_run_id: UUID
    number: int
    slice: int
    organization_id: str
    user_id: str | None = None
    #: Who works on it: a new value for every start.
    holder: UUID = field(default_factory=uuid4)


class SliceOutcome(StrEnum):
    """How a slice ended."""

    #: Nothing is left for this lane to do.
    FINISHED = "finished"
    #: The time is up and tests are left: the lane goes on with its next slice.
    CONTINUES = "continues"
    #: Another process holds the lane; it may be taken over later, if it dies.
    BUSY = "busy"
    #: The lane has moved on without this message.
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class SliceReport:
    """How a slice ended, how many tests it executed, and after how many seconds a busy lane may be free."""

    outcome: SliceOutcome
    tests: int = 0
    free_in: float = 0.0


async def run_slice(work: LaneSlice, settings: WorkerSettings, tokens: TokenCache | None = None) -> SliceReport:
    """Execute pending tests until the slice's time is up or nothing is left; `tokens` are those of earlier slices."""
    async with _connect(settings.database, work) as connection:
        keys = {"run": work.test_run_id, "number": work.number, "slice": work.slice, "holder": work.holder}
        start = await _fetch(connection, "start", keys | {"lease": settings.lanes.lease})
        if start is None:
            return await _not_started(connection, keys)
        if start["before"] is not None:
            await connection.execute(SQL["inherit"], keys | {"before": start["before"]})
        try:
            judges = StoredEndpoints(connection, settings.sealer).find
            async with open_trials(start, settings, work.test_run_id, judges, tokens) as trials:
                configuration = ConfigurationSpec.model_validate(start["snapshot"]["configuration"])
                lane = Lane(
                    connection=connection,
                    keys=keys,
                    trials=trials,
                    limit=start["concurrency"],
                    settings=settings.lanes,
                    sequential=configuration.mode == "sequential",
                    ends_at_failures=configuration.max_failures is not None,
                )
                outcome = await lane.work(stopped=start["settled"] or start["cancelled"])
        except BaseException:
            await _let_go(connection, keys)
            raise
        if outcome is SliceOutcome.FINISHED:
            await connection.execute(SQL["finish"], keys)
            await connection.execute(SQL["settle"], keys)
            await connection.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
        return SliceReport(outcome, tests=lane.recorded)


async def _not_started(connection: psycopg.AsyncConnection[dict[str, Any]], keys: dict[str, Any]) -> SliceReport:
    """Tell why. A lane that has finished says so again: whoever finished it may not have lived to record its task."""
    lane = await _fetch(connection, "not_started", keys)
    if lane is None:
        return SliceReport(SliceOutcome.PASSED)
    if lane["finished"]:
        return SliceReport(SliceOutcome.FINISHED)
    return SliceReport(SliceOutcome.BUSY, free_in=lane["seconds"])


class Lane:
    """The coroutines of one slice: one leases, as many as the limit execute, one records, two keep and watch."""

    def __init__(
        self,
        *,
        connection: psycopg.AsyncConnection[dict[str, Any]],
        keys: dict[str, Any],
        trials: Trials | Unopened,
        limit: int,
        settings: LaneSettings,
        sequential: bool,
        ends_at_failures: bool,
    ) -> None:
        self.recorded = 0
        self._connection = connection
        self._keys = keys
        self._trials = trials
        self._limit = limit
        self._settings = settings
        #: In sequence a test is leased only when the one before has ended.
        self._ahead = 0 if sequential else limit
        #: And recorded, where its failure may be the last one that the run is to have.
        self._one_by_one = sequential and ends_at_failures
        self._backlog: asyncio.Queue[LeasedTest] = asyncio.Queue()
        self._executing = 0
        self._finished: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._unrecorded = asyncio.Event()
        self._hinted = asyncio.Event()
        self._ends_at = monotonic() + settings.slice_seconds
        self._stopped = False

    async def work(self, *, stopped: bool) -> SliceOutcome:
        """Work until the time is up (`CONTINUES`), or until nothing is left or the run has ended (`FINISHED`)."""
        self._stopped = stopped
        executors = [asyncio.create_task(self._execute()) for _ in range(self._limit)]
        recorder = asyncio.create_task(self._record())
        others = (recorder, asyncio.create_task(self._keep()), asyncio.create_task(self._watch()), *executors)
        try:
            outcome = await self._until_failure(self._feed(), *others)
            await self._until_failure(self._settle_down(), *others)
        finally:
            for coroutine in others:
                coroutine.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        await self._flush()
        await self._connection.execute(SQL["release"], self._keys)
        return SliceOutcome.FINISHED if self._stopped else outcome

    async def _feed(self) -> SliceOutcome:
        """Keep the backlog filled; ends when the slice does, or when there is nothing this lane could wait for."""
        while not self._stopped and monotonic() < self._ends_at:
            waiting = self._backlog.qsize() + self._executing + (len(self._finished) if self._one_by_one else 0)
            if waiting >= self._limit + self._ahead // 2:
                await self._wait_for_change(0.05)
                continue
            leased = await self._lease(self._limit + self._ahead - waiting)
            if leased:
                continue
            if self._backlog.qsize() + self._executing + len(self._finished) == 0 and not await self._orphans():
                return SliceOutcome.FINISHED
            await self._wait_for_change(self._settings.idle_seconds)
        return SliceOutcome.CONTINUES

    async def _lease(self, most: int) -> int:
        row = self._keys | {"most": min(most, self._settings.batch), "lease": self._settings.lease}
        cursor = await self._connection.execute(SQL["lease"], row)
        tests = await cursor.fetchall()
        for test in tests:
            self._backlog.put_nowait(LeasedTest(**test))
        return len(tests)

    async def _execute(self) -> None:
        while True:
            test = await self._backlog.get()
            self._executing += 1
            try:
                self._finished.append(await self._trials.execute(test))
            finally:
                self._executing -= 1
                self._changed.set()
                self._unrecorded.set()

    async def _record(self) -> None:
        """Write what has finished, as often as the pause allows; a batch costs hardly more than one result."""
        while True:
            await self._unrecorded.wait()
            self._unrecorded.clear()
            await self._flush()
            pause_ends_at = monotonic() + self._settings.record_pause
            # Nobody waits for company where none is coming: the last results are written at once.
            while (left := pause_ends_at - monotonic()) > 0 and self._executing + self._backlog.qsize() > 0:
                await self._wait(self._unrecorded, left)
                self._unrecorded.clear()
            if self._finished:
                self._unrecorded.set()

    async def _flush(self) -> None:
        """Write a batch; it is forgotten only when it is written, and writing it twice does nothing."""
        batch = list(self._finished)
        if not batch:
            return
        row = await _fetch(self._connection, "record", self._keys | {"results": Jsonb(batch)})
        await self._connection.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
        del self._finished[: len(batch)]
        self.recorded += len(batch)
        self._stopped = self._stopped or (row is not None and row["record_results"] is not None)
        self._changed.set()

    async def _keep(self) -> None:
        """Renew the leases; learn that this lane was taken over."""
        while True:
            await asyncio.sleep(self._settings.keep_pause)
            row = await _fetch(self._connection, "keep", self._keys | {"lease": self._settings.lease})
            if row is None or not row["held"]:
                self._stop()

    async def _watch(self) -> None:
        """Learn that the run was cancelled, or settled by others; a hint is heard with whatever is said next."""
        self._connection.add_notify_handler(lambda _: self._hinted.set())
        await self._connection.execute(f"LISTEN {CONTROL_CHANNEL}".encode())
        while True:
            row = await _fetch(self._connection, "watch", self._keys)
            if row is None or row["ended"]:
                self._stop()
            await self._wait(self._hinted, self._settings.watch_pause)
            self._hinted.clear()

    def _stop(self) -> None:
        """Begin nothing more, and do not wait for what is under way."""
        self._stopped = True
        self._changed.set()

    async def _settle_down(self) -> None:
        """Let the tests that are under way end and be recorded; a run that has ended does not wait for them."""
        while not self._backlog.empty():
            self._backlog.get_nowait()
        while (self._executing or self._finished) and not self._stopped:
            await self._wait_for_change(1.0)

    async def _orphans(self) -> bool:
        row = await _fetch(self._connection, "orphans", self._keys)
        return row is not None and row["tests"] > 0

    async def _wait_for_change(self, most: float) -> None:
        self._changed.clear()
        await self._wait(self._changed, most)

    @staticmethod
    async def _wait(event: asyncio.Event, most: float) -> None:
        try:
            async with asyncio.timeout(most):
                await event.wait()
        except TimeoutError:
            pass

    @staticmethod
    async def _until_failure(main: Any, *others: asyncio.Task[None]) -> Any:
        """The result of `main`, or the exception of whichever coroutine fails first."""
        task = asyncio.ensure_future(main)
        await asyncio.wait({task, *others}, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            if other.done():
                task.cancel()
                other.result()
        return task.result()


@asynccontextmanager
async def _connect(address: DatabaseAddress, work: LaneSlice) -> AsyncIterator[psycopg.AsyncConnection[dict[str, Any]]]:
    conninfo = address.conninfo(role=ROLE, application_name="lane")
    connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True, row_factory=dict_row)
    async with connection:
        tenant = {"organization_id": str(work.organization_id), "user_id": work.user_id or ""}
        await connection.execute(SQL["act_for"], tenant)
        yield connection


async def _fetch(
    connection: psycopg.AsyncConnection[dict[str, Any]], name: str, row: dict[str, Any]
) -> dict[str, Any] | None:
    cursor = await connection.execute(SQL[name], row)
    return await cursor.fetchone()


async def _let_go(connection: psycopg.AsyncConnection[dict[str, Any]], keys: dict[str, Any]) -> None:
    """Free the lane for a retry; if the database is gone the leases end by themselves."""
    try:
        await connection.execute(SQL["release"], keys)
        await connection.execute(SQL["let_go"], keys)
    except psycopg.Error:
        logger.warning("lane_not_released", extra={"test_run_id": str(keys["run"]), "lane": keys["number"]})
