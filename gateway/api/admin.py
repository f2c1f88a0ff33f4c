"""`/v1/admin`: workers, queues, tasks and the sweeper, of all organizations; for keys with the scope `admin` only."""

# ruff: noqa: S608 - statements are composed of this module's own constants
from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Links, Out, Time, answer
from gateway.api.body import read_body
from gateway.api.paging import Named, PageQuery, not_found, page_limit, page_of, path_text, read_cursor, read_query
from gateway.audit import Particulars, note
from gateway.errors import Fault, ValidationFailed
from gateway.services import Services, services_of
from workerapp.contract.caller import Caller
from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.contract.states import FINAL_TASK_STATES
from workerapp.db.tenant import transaction

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item", bound=Out)


class Worker(Out):
    """A worker, as it reported of itself."""

    node: str
    pid: int
    pool: str
    concurrency: int
    queues: list[str]
    active: int
    reserved: int
    started_at: Time
    seen_at: Time
    is_alive: bool


class ActiveTask(Out):
    """A task that a worker is executing."""

    task_id: str
    name: str | None
    organization_id: UUID | None
    organization: str | None
    status: str | None
    test_run_id: UUID | None
    node: str
    pid: int | None
    started_at: Time
    age_seconds: float


class OrganizationDepth(Out):
    """What one organization has in a queue."""

    organization_id: UUID | None
    organization: str | None
    ready: int
    delayed: int
    leased: int


class Queue(Out):
    """How much is in a queue, and whose it is."""

    queue: str
    ready: int
    delayed: int
    leased: int
    oldest_ready_at: Time | None
    consumers: int
    organization_count: int
    organizations: list[OrganizationDepth]


class Purge(In):
    """The name of the queue once more."""

    confirm: Annotated[str, Field(max_length=255)]


class Purged(Out):
    """What a purge removed."""

    queue: str
    messages: int


class AdminTask(Out):
    """A task of any organization, without what it was given and what it answered."""

    task_id: str
    name: str | None
    organization_id: UUID
    status: str
    test_run_id: UUID | None
    queue: str | None
    worker: str | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    links: Links


class SweepStep(Out):
    """What a step of the sweeper did, in the last sweep and in all."""

    step: str
    node: str
    swept_at: Time
    seconds: float
    done: int
    done_in_all: int
    done_at: Time | None
    failed_at: Time | None
    error: str | None


class Sweeper(Out):
    """When the sweeper last ran, and what its steps did."""

    swept_at: Time | None
    steps: list[SweepStep]


_DEAD_AFTER = "make_interval(secs => CAST(:dead_after AS double precision))"
_WORKERS = f"SELECT *, node AS key FROM admin_workers({_DEAD_AFTER})"
_TASKS = f"SELECT *, node || ' ' || task_id AS key FROM admin_active_tasks({_DEAD_AFTER})"
_QUEUES = f"SELECT *, queue AS key FROM admin_queues({_DEAD_AFTER}, :most)"
_QUEUE = text(f"SELECT queue FROM admin_queues({_DEAD_AFTER}, 0) WHERE queue = :queue")
_TASK = text("SELECT * FROM admin_task(:id)")
_END = text("SELECT admin_end_task(:id, :running)")
_PURGE = text("SELECT purge_queue(:queue)")
_STEPS = text("SELECT * FROM admin_sweeper() ORDER BY step")


async def list_workers(request: Request, _: Caller) -> Response:
    return await _page(request, _WORKERS, {}, lambda row: Worker(**row))


async def list_active_tasks(request: Request, _: Caller) -> Response:
    return await _page(request, _TASKS, {}, lambda row: ActiveTask(**row))


async def list_queues(request: Request, _: Caller) -> Response:
    most = services_of(request).settings.queue_organizations
    return await _page(request, _QUEUES, {"most": most}, lambda row: Queue(**row))


async def purge_queue(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    queue = path_text(request, "queue", "queue")
    asked = await read_body(request, Purge)
    if asked.confirm != queue:
        detail = "This removes every waiting message of the queue; to confirm it, send the queue's name."
        raise ValidationFailed(f"/confirm: {detail}", faults=[Fault(pointer="/confirm", detail=detail)])
    async with transaction(services.engine) as connection:
        named = {"queue": queue, "dead_after": services.settings.worker_dead_seconds}
        if (await connection.execute(_QUEUE, named)).first() is None:
            raise not_found("queue", queue)
        messages = (await connection.execute(_PURGE, {"queue": queue})).scalar_one()
        told = Particulars(organization_id=caller.organization_id, details={"messages": messages})
        await note(connection, request, caller, told)
    services.hints.news(CONTROL_CHANNEL, EVENT_CHANNEL)
    logger.warning("queue_purged", extra={"queue": queue, "messages": messages, **caller.credential()})
    return answer(Purged(queue=queue, messages=messages))


async def get_task(request: Request, _: Caller) -> Response:
    async with services_of(request).engine.connect() as connection:
        return answer(await _find(connection, path_text(request, "task_id", "task")))


async def revoke_task(request: Request, caller: Caller) -> Response:
    return await _end(request, caller, running=False)


async def terminate_task(request: Request, caller: Caller) -> Response:
    return await _end(request, caller, running=True)


async def get_sweeper(request: Request, _: Caller) -> Response:
    async with services_of(request).engine.connect() as connection:
        rows = (await connection.execute(_STEPS)).mappings().all()
    steps = [SweepStep(**row) for row in rows]
    return answer(Sweeper(swept_at=max((step.swept_at for step in steps), default=None), steps=steps))


async def _end(request: Request, caller: Caller, *, running: bool) -> Response:
    """Ends a task, or the run that was submitted as it; one that had ended before is answered as it is."""
    services = services_of(request)
    task_id = path_text(request, "task_id", "task")
    async with transaction(services.engine) as connection:
        await _find(connection, task_id)
        await connection.execute(_END, {"id": task_id, "running": running})
        task = await _find(connection, task_id)
        told = Particulars(organization_id=task.organization_id, details={"status": task.status})
        await note(connection, request, caller, told)
    services.hints.news(CONTROL_CHANNEL, EVENT_CHANNEL)
    event = "task_terminated" if running else "task_revoked"
    logger.warning(event, extra={"task_id": task_id, "status": task.status, **caller.credential()})
    return answer(task, 200 if task.status in FINAL_TASK_STATES else 202)


async def _find(connection: AsyncConnection, task_id: str) -> AdminTask:
    row = (await connection.execute(_TASK, {"id": task_id})).mappings().one_or_none()
    if row is None:
        raise not_found("task", task_id)
    path = f"/v1/admin/tasks/{task_id}"
    return AdminTask(**row, links={"self": path, "revoke": f"{path}/revoke", "terminate": f"{path}/terminate"})


async def _page(
    request: Request, statement: str, values: dict[str, Any], item: Callable[[dict[str, Any]], _Item]
) -> Response:
    """A page of a cross-tenant read, in the order of its `key`."""
    services: Services = services_of(request)
    query = read_query(request, PageQuery)
    limit, after = page_limit(query, services.settings), read_cursor(query, Named)
    page = text(f"SELECT * FROM ({statement}) AS found WHERE key > :after ORDER BY key LIMIT :limit")
    dead_after = services.settings.worker_dead_seconds
    async with services.engine.connect() as connection:
        found = await connection.execute(
            page, values | {"dead_after": dead_after, "after": after or "", "limit": limit + 1}
        )
        rows = found.mappings().all()
    return answer(page_of(rows, limit, lambda row: item(_without_key(row)), lambda row: row["key"]))


def _without_key(row: RowMapping) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "key"}
