"""`POST /v1/tasks`: any registered task that the operator allows, with arguments that it can be called with."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AwareDatetime, Field, JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Links, Out
from gateway.api.body import read_body
from gateway.api.idempotency import Made, make_once
from gateway.api.tasks import task_links
from gateway.errors import Fault, QueueNotAllowed, TaskNotAllowed, ValidationFailed
from gateway.launcher import LaunchOptions
from gateway.services import Services, services_of
from gateway.stream.subject import Subject, SubjectKind
from gateway.submission.arguments import check_arguments
from gateway.submission.refusals import TaskUnknown, refusal
from gateway.submission.schedule import read_schedule
from gateway.submission.task_types import KnownType
from workerapp.contract.caller import ORGANIZATION_HEADER, USER_HEADER, Caller
from workerapp.contract.states import TaskState

#: The tenant comes from the key and from nowhere else.
RESERVED = (ORGANIZATION_HEADER, USER_HEADER)

_Seconds: TypeAlias = Annotated[float, Field(ge=0)]


class TaskSubmission(In):
    """A task to be run."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    args: list[JsonValue] = Field(default_factory=list)
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    queue: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    eta: AwareDatetime | None = None
    countdown: _Seconds | None = None
    expires: AwareDatetime | _Seconds | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None


class TaskSubmitted(Out):
    """A task that is queued."""

    task_id: str
    status: TaskState
    links: Links
    stream_token: str


async def submit_task(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    asked = await read_body(request, TaskSubmission)
    options = await _check(asked, services)
    issuer = await services.stream_tokens.issuer(caller)

    async def work(connection: AsyncConnection) -> Made:
        await services.capacity.check_tasks(connection, caller)
        task_id = await services.launcher.launch(
            connection, caller, asked.name, args=asked.args, kwargs=asked.kwargs, options=options
        )
        links, subject = task_links(task_id, None), Subject(SubjectKind.TASK, task_id)
        token = issuer.for_subject(subject)
        body = TaskSubmitted(task_id=task_id, status=TaskState.PENDING, links=links, stream_token=token)
        details = {"name": asked.name}
        return Made(status=202, location=links["self"], body=body, subject=subject, details=details)

    response = await make_once(request, caller, asked, work)
    services.hints.submitted()
    return response


async def _check(asked: TaskSubmission, services: Services) -> LaunchOptions:
    """See that a worker can do what is asked for, and tell how to send it there."""
    settings = services.settings
    if not services.task_types.allows(asked.name):
        detail = f"The task {asked.name!r} may not be submitted; this server allows {', '.join(settings.task_allow)}."
        raise refusal(TaskNotAllowed, [Fault(pointer="/name", detail=detail)])
    for name in (name for name in RESERVED if name in asked.kwargs):
        detail = f"The argument {name!r} is reserved; the tenant comes from the API key."
        raise refusal(ValidationFailed, [Fault(pointer=f"/kwargs/{name}", detail=detail)])
    known = await services.task_types.find(asked.name)
    queue = _queue(asked, known, services)
    if known is None and await services.task_types.is_served(queue):
        # Its worker may have come since the types were read.
        known = await services.task_types.find(asked.name, anew=True)
        queue = _queue(asked, known, services)
        if known is None:
            detail = f"No worker that consumes the queue {queue!r} has the task {asked.name!r}; see GET /v1/task-types."
            raise refusal(TaskUnknown, [Fault(pointer="/name", detail=detail)])
    times = read_schedule(
        eta=asked.eta, countdown=asked.countdown, expires=asked.expires, furthest=settings.task_ahead_max_seconds
    )
    if known is not None:
        check_arguments(known, asked.args, asked.kwargs)
    return LaunchOptions(queue=queue, eta=times.eta, expires=times.expires, priority=asked.priority)


def _queue(asked: TaskSubmission, known: KnownType | None, services: Services) -> str:
    """The one that is asked for, or the task's own."""
    own = services.settings.default_queue if known is None else known.queue
    queues = dict.fromkeys((own, services.settings.default_queue, *services.settings.task_queues))
    if asked.queue is not None and asked.queue not in queues:
        detail = f"The queue {asked.queue!r} may not be used; this server allows {', '.join(queues)}."
        raise refusal(QueueNotAllowed, [Fault(pointer="/queue", detail=detail)])
    return asked.queue or own
