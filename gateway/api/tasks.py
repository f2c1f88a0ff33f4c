"""`/v1/tasks`: any registered task that the operator allows."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue
from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import WEBSOCKET, In, Links, Out, Time, answer
from gateway.api.body import read_body
from gateway.api.current import Current, answer_current
from gateway.api.idempotency import Made, make_once
from gateway.api.paging import PageQuery, not_found, page_limit, page_of, path_text, read_cursor, read_query
from gateway.api.routing import Answer
from gateway.audit import Particulars, note
from gateway.errors import Fault, QueueNotAllowed, TaskNotAllowed, ValidationFailed
from gateway.launcher import LaunchOptions
from gateway.services import services_of
from gateway.settings import GatewaySettings
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.caller import ORGANIZATION_HEADER, USER_HEADER, Caller
from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.contract.states import FINAL_TASK_STATES, TaskState
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction

WHAT = "task"
#: The tenant comes from the key and from nowhere else.
RESERVED = (ORGANIZATION_HEADER, USER_HEADER)


class TaskSubmission(In):
    """A task to be run."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    args: list[JsonValue] = Field(default_factory=list)
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    queue: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class TaskSubmitted(Out):
    """A task that is queued."""

    task_id: str
    status: TaskState
    links: Links
    stream_token: str


class TaskSummary(Out):
    """A task in a list."""

    task_id: str
    name: str | None
    status: str
    retries: int
    queue: str | None
    worker: str | None
    test_run_id: UUID | None
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


class TaskQuery(PageQuery):
    """Which tasks."""

    status: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,50}$")] | None = None


_task = tables.task.c
_SUMMARY = (
    _task.id.label("task_id"),
    _task.name,
    _task.state.label("status"),
    *(_task.retries, _task.queue, _task.worker, _task.test_run_id),
    *(_task.created_at, _task.started_at, _task.finished_at, _task.seq),
)
_WHOLE = (
    *_SUMMARY,
    *(_task.result, _task.progress),
    func.task_error_message(_task.error).label("error"),
    _task.error["exc_type"].astext.label("error_type"),
)
_CANCEL = text("SELECT cancel_task(:id)")
#: Of the last one on a page: when it was made, and its id.
_Key = tuple[AwareDatetime, Annotated[str, Field(pattern=r"^[^\x00]{1,255}$")]]


async def submit_task(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    asked = await read_body(request, TaskSubmission)
    _check_allowed(asked, services.settings)
    issuer = await services.stream_tokens.issuer(caller)

    async def work(connection: AsyncConnection) -> Made:
        await services.capacity.check_tasks(connection, caller)
        task_id = await services.launcher.launch(
            connection,
            caller,
            asked.name,
            args=asked.args,
            kwargs=asked.kwargs,
            options=LaunchOptions(queue=asked.queue),
        )
        links, subject = task_links(task_id, None), Subject(SubjectKind.TASK, task_id)
        token = issuer.for_subject(subject)
        body = TaskSubmitted(task_id=task_id, status=TaskState.PENDING, links=links, stream_token=token)
        details = {"name": asked.name}
        return Made(status=202, location=links["self"], body=body, subject=subject, details=details)

    response = await make_once(request, caller, asked, work)
    services.hints.submitted()
    return response


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
    statement = select(*_WHOLE).where(_task.organization_id == caller.organization_id, _task.id == task_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise not_found(WHAT, task_id)
    return Task(**row, links=task_links(task_id, row["test_run_id"]))


async def list_tasks(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    query = read_query(request, TaskQuery)
    limit, before = page_limit(query, services.settings), read_cursor(query, _Key)
    statement = select(*_SUMMARY).where(_task.organization_id == caller.organization_id)
    if query.status is not None:
        statement = statement.where(_task.state == query.status)
    if before is not None:
        statement = statement.where(tuple_(_task.created_at, _task.id) < tuple_(*before))
    statement = statement.order_by(_task.created_at.desc(), _task.id.desc()).limit(limit + 1)
    async with tenant_transaction(services.engine, caller) as connection:
        rows = (await connection.execute(statement)).mappings().all()
    return answer(page_of(rows, limit, _summary, lambda row: (row["created_at"], row["task_id"])))


def _summary(row: Any) -> TaskSummary:
    return TaskSummary(**row, links=task_links(row["task_id"], row["test_run_id"]))


def task_links(task_id: str, test_run_id: UUID | None) -> Links:
    """Where a task is, its events, and its run if it has one."""
    path = f"/v1/tasks/{task_id}"
    links = {"self": path, "events": f"{path}/events", "websocket": WEBSOCKET, "cancel": f"{path}/cancel"}
    return links if test_run_id is None else links | {"test_run": f"/v1/test-runs/{test_run_id}"}


def _check_allowed(asked: TaskSubmission, settings: GatewaySettings) -> None:
    if not any(fnmatchcase(asked.name, pattern) for pattern in settings.task_allow):
        detail = f"The task {asked.name!r} may not be submitted; this server allows {', '.join(settings.task_allow)}."
        raise TaskNotAllowed(f"/name: {detail}", faults=[Fault(pointer="/name", detail=detail)])
    queues = (settings.default_queue, *settings.task_queues)
    if asked.queue is not None and asked.queue not in queues:
        detail = f"The queue {asked.queue!r} may not be used; this server allows {', '.join(queues)}."
        raise QueueNotAllowed(f"/queue: {detail}", faults=[Fault(pointer="/queue", detail=detail)])
    for name in (name for name in RESERVED if name in asked.kwargs):
        detail = f"The argument {name!r} is reserved; the tenant comes from the API key."
        pointer = f"/kwargs/{name}"
        raise ValidationFailed(f"{pointer}: {detail}", faults=[Fault(pointer=pointer, detail=detail)])
