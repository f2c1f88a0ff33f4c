"""How much of an organization's may wait or be at work at a time: runs, their tests, and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy import bindparam, case, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import TooManyTests
from gateway.metrics import Metrics
from gateway.quotas.buckets import Clock
from gateway.quotas.plan import Plan
from gateway.quotas.plan_finder import PlanFinder
from gateway.quotas.refusals import Limit, LimitReached, TooManyQueuedTasks, TooManyQueuedTests, TooManyRuns
from workerapp.contract.caller import Caller
from workerapp.db import tables
from workerapp.db.direct import DirectStatement

#: Open tasks are counted again after so many seconds.
RECOUNT_SECONDS = 1.0
#: How many submissions of one organization may be in progress at all gateways: more than they have connections.
AT_ONCE = 200

_run, _task = tables.test_run.c, tables.task.c
_OPEN_RUNS = DirectStatement(
    select(
        func.count().label("runs"),
        func.coalesce(func.sum(case((_run.planned.is_(None), _run.expected), else_=_run.pending)), 0).label("tests"),
    ).where(_run.organization_id == bindparam("organization_id"), _run.finished_at.is_(None))
)
#: Until the end of the transaction nobody else submits runs of the organization that looks at its limits as closely.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('runs of ' || current_organization(), 0))")


@dataclass(frozen=True, slots=True)
class _Load:
    runs: int
    tests: int

    @classmethod
    def of(cls, sizes: Sequence[int], times: int = 1) -> Self:
        """Runs with so many tests each, so many times."""
        return cls(len(sizes) * times, sum(sizes) * times)

    def __add__(self, other: _Load) -> _Load:
        return _Load(self.runs + other.runs, self.tests + other.tests)


@dataclass(slots=True)
class _Count:
    tasks: int
    until: float


class Capacity:
    """What is open is counted in the transaction that would add to it."""

    def __init__(self, plans: PlanFinder, metrics: Metrics, clock: Clock) -> None:
        self._plans = plans
        self._metrics = metrics
        self._clock = clock
        self._tasks: dict[UUID, _Count] = {}

    async def check_runs(self, connection: AsyncConnection, caller: Caller, sizes: Sequence[int]) -> None:
        """See that there is room for runs with so many tests each.

        Where there is room for so many of the same that those of the same moment, which are not counted yet, do not
        matter, nobody waits for anybody. Otherwise an organization's submissions come one after the other.

        Raises:
            TooManyTests: there never will be.
            TooManyRuns, TooManyQueuedTests: there is none now.
        """
        plan = self._plans.known(caller.organization_id)
        _check_possible(plan, sizes)
        load = await _load(connection, caller)
        if not _fits(plan, load + _Load.of(sizes, AT_ONCE)):
            await connection.execute(_LOCK)
            load = await _load(connection, caller)
        load += _Load.of(sizes)
        if load.runs > plan.concurrent_runs:
            raise self._reached(Limit.RUNS, _too_many_runs(plan, len(sizes)))
        if load.tests > plan.queued_tests:
            raise self._reached(Limit.QUEUED_TESTS, _too_many_tests(plan, sum(sizes)))

    async def check_tasks(self, connection: AsyncConnection, caller: Caller) -> None:
        """See that there is room for one more task, and count it.

        They are counted in the database once a second, and here in between, since it takes longer than to submit one:
        what other gateways take in meanwhile comes on top.

        Raises:
            TooManyQueuedTasks: there is no room now.
        """
        most = self._plans.known(caller.organization_id).queued_tasks
        count = self._tasks.get(caller.organization_id)
        if count is None or count.until <= self._clock():
            tasks = await _open_tasks(connection, caller, most)
            count = self._tasks[caller.organization_id] = _Count(tasks, self._clock() + RECOUNT_SECONDS)
        if count.tasks >= most:
            raise self._reached(Limit.QUEUED_TASKS, _too_many_tasks(most))
        count.tasks += 1

    def _reached(self, limit: Limit, refusal: LimitReached) -> LimitReached:
        self._metrics.reach(limit)
        return refusal


async def _load(connection: AsyncConnection, caller: Caller) -> _Load:
    """The organization's open runs, and their tests without a result: those expected, until they are planned."""
    row = await _OPEN_RUNS.fetch_one(connection, {"organization_id": caller.organization_id})
    assert row is not None
    return _Load(**row)


async def _open_tasks(connection: AsyncConnection, caller: Caller, most: int) -> int:
    """No more than `most` are counted."""
    own = select(_task.id).where(_task.organization_id == caller.organization_id, _task.finished_at.is_(None))
    own = own.where(_task.test_run_id.is_(None), _task.run_group_id.is_(None)).limit(most)
    return int((await connection.execute(select(func.count()).select_from(own.subquery()))).scalar_one())


def _fits(plan: Plan, load: _Load) -> bool:
    return load.runs <= plan.concurrent_runs and load.tests <= plan.queued_tests


def _check_possible(plan: Plan, sizes: Sequence[int]) -> None:
    if not _fits(plan, _Load.of(sizes)):
        raise TooManyTests(
            f"That would be {sum(sizes)} tests in {len(sizes)} runs; your organization may have {plan.queued_tests}"
            f" tests waiting and {plan.concurrent_runs} runs open. Choose a smaller sample, or fewer runs at once."
        )


def _too_many_runs(plan: Plan, more: int) -> TooManyRuns:
    return TooManyRuns(
        f"Your organization may have {plan.concurrent_runs} runs open at a time, and there is no room for {more} more;"
        " try again when one has ended, or cancel one."
    )


def _too_many_tests(plan: Plan, more: int) -> TooManyQueuedTests:
    return TooManyQueuedTests(
        f"Your organization may have {plan.queued_tests} tests waiting, and there is no room for {more} more; try again"
        " when some have a result, or cancel a run."
    )


def _too_many_tasks(most: int) -> TooManyQueuedTasks:
    return TooManyQueuedTasks(
        f"Your organization may have {most} tasks open at a time; try again when some have ended, or cancel some.",
    )
