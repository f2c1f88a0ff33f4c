"""`/v1/tasks`: how far a task is, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field
from sqlalchemy import Row, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import WEBSOCKET, Links, Out, Time, answer
from gateway.api.current import Current, answer_current
from gateway.api.paging import not_found, page_limit, path_text
from gateway.api.routing import Answer
from gateway.api.sorting import Sort, SortedQuery, Sorting, answer_page, read_sorted
from gateway.api.task_filter import TaskFilter
from gateway.audit import Particulars, note
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.contract.states import FINAL_TASK_STATES
from workerapp.db import tables
from workerapp.db.direct import DirectStatement
from workerapp.db.tenant import tenant_transaction

WHAT = "task"


class TaskSummary(Out):
    """A task in a list."""

    task_id: str
    name: str | None
    status: str
    retries: int
    queue: str | None
    worker: str | None
    test_run_id: UUID | None
    eta: Time | None
    expires_at: Time | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    seq: int
    links: Links


class Task(TaskSummary):
    """A task with what came of it."""

    result: Any
    error: str | None
    error_type: str | None
    progress: Any


class TaskQuery(SortedQuery, TaskFilter):
    """Which tasks, and in which order."""

    test_run_id: UUID | None = None


_task = tables.task.c
_SUMMARY = (
    _task.id.label("task_id"),
    _task.name,
    _task.state.label("status"),
    *(_task.retries, _task.queue, _task.worker, _task.test_run_id),
    *(_task.eta, _task.expires_at, _task.created_at, _task.started_at, _task.finished_at, _task.seq),
)
_WHOLE = (
    *_SUMMARY,
    *(_task.result, _task.progress),
    func.task_error_message(_task.error).label("error"),
    _task.error["exc_type"].astext.label("error_type"),
)
_FIND = DirectStatement(
    select(*_WHOLE).where(_task.organization_id == bindparam("organization_id"), _task.id == bindparam("task_id"))
)
_CANCEL = text("SELECT cancel_task(:id)")
_SORTING = Sorting(
    created_at=_task.created_at,
    finished_at=_task.finished_at,
    id=_task.id,
    cursor=tuple[Sort, AwareDatetime, Annotated[str, Field(pattern=r"^[^\x00]{1,255}$")]],
)


async def get_task(request: Request, caller: Caller) -> Answer:
    """The task, or 304; with `Prefer: wait` when it has ended, or is no more what the caller has."""
    engine, task_id = services_of(request).engine, path_text(request, "task_id", WHAT)

    async def read() -> Current:
        async with tenant_transaction(engine, caller) as connection:
            task = await find_task(connection, caller, task_id)
        return Current(body=task, seq=task.seq, is_terminal=task.status in FINAL_TASK_STATES)

    return await answer_current(request, caller, task_id, read)


async def cancel_task(request: Request, caller: Caller) -> Response:
    """Ends the task, or cancels the run that was submitted as it; what has ended already is answered as it is."""
    services = services_of(request)
    task_id = path_text(request, "task_id", WHAT)
    async with tenant_transaction(services.engine, caller) as connection:
        await find_task(connection, caller, task_id)
        await connection.execute(_CANCEL, {"id": task_id})
        task = await find_task(connection, caller, task_id)
        await note(connection, request, caller, Particulars(details={"status": task.status}))
    services.hints.news(CONTROL_CHANNEL, EVENT_CHANNEL)
    return answer(task, 200 if task.status in FINAL_TASK_STATES else 202)


async def find_task(connection: AsyncConnection, caller: Caller, task_id: str) -> Task:
    """The task as it is answered.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    row = await _FIND.fetch_one(connection, {"organization_id": caller.organization_id, "task_id": task_id})
    if row is None:
        raise not_found(WHAT, task_id)
    return Task(**row, links=task_links(task_id, row["test_run_id"]))


async def list_tasks(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    query = read_sorted(request, TaskQuery, TaskSummary)
    limit = page_limit(query, services.settings)
    statement = select(*_SUMMARY).where(_task.organization_id == caller.organization_id, *query.conditions())
    if query.test_run_id is not None:
        statement = statement.where(_task.test_run_id == query.test_run_id)
    async with tenant_transaction(services.engine, caller) as connection:
        rows = (await connection.execute(_SORTING.page(statement, query, limit))).all()
    return answer_page(query, rows, limit, _summary, "task_id")


def _summary(row: Row[Any]) -> TaskSummary:
    return TaskSummary(**row._asdict(), links=task_links(row.task_id, row.test_run_id))


def task_links(task_id: str, test_run_id: UUID | None) -> Links:
    """Where a task is, its events, and its run if it has one."""
    path = f"/v1/tasks/{task_id}"
    links = {"self": path, "events": f"{path}/events", "websocket": WEBSOCKET, "cancel": f"{path}/cancel"}
    return links if test_run_id is None else links | {"test_run": f"/v1/test-runs/{test_run_id}"}
