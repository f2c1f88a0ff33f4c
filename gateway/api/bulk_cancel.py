"""`/v1/tasks/cancel` and `/v1/test-runs/cancel`: ending many at once, those that a filter finds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Out, answer
from gateway.api.body import read_body
from gateway.api.run_filter import RunFilter
from gateway.api.task_filter import TaskFilter
from gateway.audit import Particulars, note
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.db.tables import task, test_run
from workerapp.db.tenant import tenant_transaction


class TaskCancellation(In):
    """Which open tasks are cancelled: everything there is, unless the filter says otherwise."""

    filter: TaskFilter
    dry_run: bool = False


class RunCancellation(In):
    """Which open runs are cancelled: everything there is, unless the filter says otherwise."""

    filter: RunFilter
    dry_run: bool = False


class Cancelled(Out):
    """How many were cancelled, or would be, and how many more there are that the filter finds."""

    cancelled: int
    left: int
    dry_run: bool


_task, _run = task.c, test_run.c
_CANCEL_TASKS = text("SELECT cancel_tasks(:ids)").bindparams(bindparam("ids", type_=ARRAY(Text)))
_CANCEL_RUN = text("SELECT cancel_run(:id)")


async def cancel_tasks(request: Request, caller: Caller) -> Response:
    """The oldest first. What works for a run is left to the run."""
    services = services_of(request)
    asked = await read_body(request, TaskCancellation)
    wanted = (
        *(_task.organization_id == caller.organization_id, _task.finished_at.is_(None)),
        *(_task.test_run_id.is_(None), _task.run_group_id.is_(None), *asked.filter.conditions()),
    )
    oldest = select(_task.id).where(*wanted).order_by(_task.created_at, _task.id)
    oldest = oldest.limit(services.settings.max_tasks_at_once)
    async with tenant_transaction(services.engine, caller) as connection:
        ids = (await connection.execute(oldest)).scalars().all()
        if asked.dry_run:
            return answer(await _would_be(connection, len(ids), wanted))
        cancelled = (await connection.execute(_CANCEL_TASKS, {"ids": ids})).scalar_one()
        done = Cancelled(cancelled=cancelled, left=await _count(connection, wanted), dry_run=False)
        await note(connection, request, caller, _particulars(asked, done))
    services.hints.news(CONTROL_CHANNEL, EVENT_CHANNEL)
    return answer(done)


async def cancel_test_runs(request: Request, caller: Caller) -> Response:
    """The oldest first. Those with tests under way settle within a second."""
    services = services_of(request)
    asked = await read_body(request, RunCancellation)
    wanted = (
        *(_run.organization_id == caller.organization_id, _run.finished_at.is_(None)),
        *(_run.cancel_requested_at.is_(None), *asked.filter.conditions()),
    )
    oldest = select(_run.id).where(*wanted).order_by(_run.created_at, _run.id).limit(services.settings.max_runs_at_once)
    async with tenant_transaction(services.engine, caller) as connection:
        ids = (await connection.execute(oldest)).scalars().all()
        if asked.dry_run:
            return answer(await _would_be(connection, len(ids), wanted))
        # Runs are locked in the order of their ids, by everybody.
        for key in sorted(ids):
            await connection.execute(_CANCEL_RUN, {"id": key})
        done = Cancelled(cancelled=len(ids), left=await _count(connection, wanted), dry_run=False)
        await note(connection, request, caller, _particulars(asked, done))
    services.hints.news(CONTROL_CHANNEL, EVENT_CHANNEL)
    return answer(done)


async def _would_be(connection: AsyncConnection, found: int, wanted: tuple[ColumnElement[bool], ...]) -> Cancelled:
    return Cancelled(cancelled=found, left=await _count(connection, wanted) - found, dry_run=True)


async def _count(connection: AsyncConnection, wanted: tuple[ColumnElement[bool], ...]) -> int:
    return int((await connection.execute(select(func.count()).where(*wanted))).scalar_one())


def _particulars(asked: TaskCancellation | RunCancellation, done: Cancelled) -> Particulars:
    wanted: dict[str, Any] = asked.filter.model_dump(mode="json", exclude_unset=True)
    return Particulars(details={"filter": wanted, "cancelled": done.cancelled, "left": done.left})
