"""A lane: one member of a run's chord, which leases pending tests, executes them concurrently and records the results.

Its lease on itself and on its tests is renewed while it works; when its process dies the leases end and others take
over. How many of its tests are under way is a matter of the endpoint's places, which all lanes of the endpoint share.
"""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from time import monotonic
from typing import Any

import psycopg

from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.db.statements import load
from workerapp.execution.coordination import Coordination
from workerapp.execution.measures import OPEN, SETTLED, TESTS, TESTS_UNDER_WAY, WRITES
from workerapp.execution.places import Places
from workerapp.execution.trial import LeasedTest, Trials, Unopened
from workerapp.setting_groups import LaneSettings

SQL = load("lanes")

#: So many turns a lane waits for a place at its endpoint before it makes way for other tasks.
PATIENCE = 2


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
        coordination: Coordination | None = None,
    ) -> None:
        """`coordination` is that with others who ask the same endpoint; None if nobody is asked."""
        self.recorded = 0
        self._connection = connection
        self._keys = keys
        self._trials = trials
        self._limit = limit
        self._settings = settings
        #: Then a test is leased only when the one before has ended.
        self._is_sequential = sequential
        #: And recorded, where its failure may be the last one that the run is to have.
        self._one_by_one = sequential and ends_at_failures
        self._coordination = coordination
        self._places = Places(limit) if coordination is None else coordination.places
        self._backlog: asyncio.Queue[LeasedTest] = asyncio.Queue()
        self._executing = 0
        #: Leased and not finished: in the backlog, waiting for a place, or executed.
        self._in_hand = 0
        #: Results that are to be written, as JSON.
        self._finished: list[str] = []
        #: How many were written the last time, which tells how fast they end.
        self._written = 0
        #: A change is told when no more than so many tests are in hand: most of those that end need nobody to look, and
        #: a look costs more than writing a result.
        self._few = limit
        self._changed = asyncio.Event()
        self._unrecorded = asyncio.Event()
        self._hinted = asyncio.Event()
        self._ends_at = monotonic() + settings.slice_seconds
        self._stopped = self._is_ending = False

    async def work(self, *, stopped: bool) -> SliceOutcome:
        """Work until the time is up (`CONTINUES`), or until nothing is left or the run has ended (`FINISHED`)."""
        self._stopped = stopped
        executors = [asyncio.create_task(self._execute()) for _ in range(self._limit)]
        recorder = asyncio.create_task(self._record())
        others = [recorder, asyncio.create_task(self._keep()), asyncio.create_task(self._watch()), *executors]
        if self._coordination is not None:
            others.append(asyncio.create_task(self._coordination.run()))
        try:
            outcome = await self._until_failure(self._feed(), *others)
            await self._until_failure(self._settle_down(), *others)
        finally:
            for coroutine in others:
                coroutine.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        while self._finished:
            await self._flush()
        await self._connection.execute(SQL["release"], self._keys)
        return SliceOutcome.FINISHED if self._stopped else outcome

    async def _feed(self) -> SliceOutcome:
        """Keep the backlog filled; ends when the slice does, or when there is nothing this lane could wait for."""
        while not self._stopped and monotonic() < self._ends_at:
            if self._places.seconds_without() > PATIENCE * self._settings.turn:
                break
            places = self._places.limit
            ahead = 0 if self._is_sequential else max(places, self._written)
            waiting = self._in_hand + (len(self._finished) if self._one_by_one else 0)
            if waiting >= places + ahead // 2:
                self._few = places + ahead // 2 - 1
                await self._wait_for_change(0.05)
                continue
            self._few = self._limit
            most = min(places + ahead - waiting, self._settings.batch)
            leased = await self._lease(most)
            # What is left at the end is all there is use for; who waits for others to end may be needed yet.
            self._places.want(self._limit if leased == most else max(self._in_hand, 1))
            if leased:
                continue
            if self._in_hand + len(self._finished) == 0 and not await self._orphans():
                return SliceOutcome.FINISHED
            await self._wait_for_change(self._settings.idle_seconds)
        return SliceOutcome.CONTINUES

    async def _lease(self, most: int) -> int:
        row = self._keys | {"most": most, "lease": self._settings.lease}
        cursor = await self._connection.execute(SQL["lease"], row)
        tests = await cursor.fetchall()
        for test in tests:
            self._backlog.put_nowait(LeasedTest(**test))
        self._in_hand += len(tests)
        return len(tests)

    async def _execute(self) -> None:
        while True:
            test = await self._backlog.get()
            async with self._places:
                await self._trials.begin()
                if self._is_ending:
                    continue
                self._executing += 1
                TESTS_UNDER_WAY.rise()
                try:
                    result = await self._trials.execute(test)
                    TESTS.add(result["status"])
                    self._finished.append(json.dumps(result))
                finally:
                    TESTS_UNDER_WAY.fall()
                    self._executing -= 1
                    self._in_hand -= 1
                    self._tell()

    def _tell(self) -> None:
        """Wake up who waits for what has just finished."""
        if self._in_hand <= self._few or self._is_ending:
            self._changed.set()
        if len(self._finished) == 1 or self._in_hand == 0:
            self._unrecorded.set()

    async def _record(self) -> None:
        """Write what has finished, as often as the pause allows; a batch costs hardly more than one result."""
        while True:
            await self._unrecorded.wait()
            self._unrecorded.clear()
            await self._flush()
            pause_ends_at = monotonic() + self._settings.record_pause
            # Nobody waits for company where none is coming: the last results are written at once.
            while (left := pause_ends_at - monotonic()) > 0 and self._in_hand > 0:
                await self._wait(self._unrecorded, left)
                self._unrecorded.clear()
            if self._finished:
                self._unrecorded.set()

    async def _flush(self) -> None:
        """Write a batch; it is forgotten only when it is written, and writing it twice does nothing."""
        batch = self._next_batch()
        if not batch:
            return
        began = monotonic()
        row = await fetch(self._connection, "record", self._keys | {"results": f"[{','.join(batch)}]"})
        has_settled = row is not None and row["record_results"] is not None
        WRITES.observe(monotonic() - began, SETTLED if has_settled else OPEN)
        await self._connection.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
        del self._finished[: len(batch)]
        self._written = len(batch)
        self.recorded += len(batch)
        self._stopped = self._stopped or has_settled
        self._changed.set()

    def _next_batch(self) -> list[str]:
        """What has finished, as far as one statement takes it, and at least one result."""
        batch: list[str] = []
        left = self._settings.record_bytes
        for result in self._finished:
            left -= len(result)
            if batch and left < 0:
                break
            batch.append(result)
        return batch

    async def _keep(self) -> None:
        """Renew the leases; learn that this lane was taken over."""
        while True:
            await asyncio.sleep(self._settings.keep_pause)
            row = await fetch(self._connection, "keep", self._keys | {"lease": self._settings.lease})
            if row is None or not row["held"]:
                self._stop()

    async def _watch(self) -> None:
        """Learn that the run was cancelled, or settled by others; a hint is heard with whatever is said next."""
        self._connection.add_notify_handler(lambda _: self._hinted.set())
        await self._connection.execute(f"LISTEN {CONTROL_CHANNEL}".encode())
        while True:
            row = await fetch(self._connection, "watch", self._keys)
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
        self._is_ending = True
        self._places.want(0)
        self._places.lower()
        while not self._backlog.empty():
            self._backlog.get_nowait()
            self._in_hand -= 1
        while (self._executing or self._finished) and not self._stopped:
            await self._wait_for_change(1.0)

    async def _orphans(self) -> bool:
        row = await fetch(self._connection, "orphans", self._keys)
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


async def fetch(
    connection: psycopg.AsyncConnection[dict[str, Any]], name: str, row: dict[str, Any]
) -> dict[str, Any] | None:
    """The row of a statement on lanes, if there is one."""
    cursor = await connection.execute(SQL[name], row)
    return await cursor.fetchone()
