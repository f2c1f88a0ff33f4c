"""`/v1/endpoints/{id}/invoke`: one input tried by a worker, answered when it is done or as a task that goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api import endpoints
from gateway.api.answers import In, Links, Out, answer
from gateway.api.body import read_body
from gateway.api.idempotency import Made, make_once
from gateway.api.paging import path_uuid
from gateway.api.preferences import preferred_wait
from gateway.api.routing import Answer
from gateway.api.task_submission import TaskSubmitted
from gateway.api.tasks import Task, find_task, task_links
from gateway.middleware import Detached
from gateway.services import services_of
from gateway.stream.hub import Room
from gateway.stream.subject import Subject, SubjectKind
from gateway.stream.waiting import wait_until
from workerapp.contract.caller import Caller
from workerapp.contract.invocation import InvocationResult, ReceivedResponse, SentRequest
from workerapp.contract.specs import MAX_INPUT_LENGTH, Message
from workerapp.contract.states import FINAL_TASK_STATES, TaskState
from workerapp.contract.tasks import INVOKE_ENDPOINT
from workerapp.db.tenant import tenant_transaction


class InvocationCreation(In):
    """What the endpoint is asked, as a test would be."""

    input: Annotated[str, Field(max_length=MAX_INPUT_LENGTH)] | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)] | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise ValueError("give either input, a text, or messages, a conversation")
        return self


class Invocation(Out):
    """What came of it; `output` is what a test's result would have."""

    task_id: str
    request: SentRequest | None
    response: ReceivedResponse | None
    output: dict[str, Any] | None
    latency_ms: float | None
    attempts: int
    error: dict[str, Any] | None
    links: Links


@dataclass(frozen=True, kw_only=True, slots=True)
class _Current:
    task: Task
    seq: int
    is_terminal: bool


async def invoke_endpoint(request: Request, caller: Caller) -> Answer:
    """Submit the task and wait for it, as long as `Prefer: wait` says; then the task is the answer."""
    services = services_of(request)
    key = path_uuid(request, endpoints.DEFINITION.path_name, endpoints.DEFINITION.what)
    async with tenant_transaction(services.engine, caller) as connection:
        await endpoints.DEFINITION.find_usable(connection, caller, key)
    asked = await read_body(request, InvocationCreation)
    issuer = await services.stream_tokens.issuer(caller)
    most = services.settings.wait_max_seconds
    preferred = preferred_wait(request, most)

    async def work(connection: AsyncConnection) -> Made:
        await services.capacity.check_tasks(connection, caller)
        task_id = await services.launcher.launch(
            connection, caller, INVOKE_ENDPOINT, args=(str(key), _question(asked)), kwargs={}
        )
        links, subject = task_links(task_id, None), Subject(SubjectKind.TASK, task_id)
        token = issuer.for_subject(subject)
        body = TaskSubmitted(task_id=task_id, status=TaskState.PENDING, links=links, stream_token=token)
        return Made(status=202, location=links["self"], body=body, subject=subject)

    submitted = await make_once(request, caller, asked, work)
    services.hints.submitted()
    seconds = most if preferred is None else preferred
    if not seconds or services.room_for(caller.organization_id) is not Room.FREE:
        return submitted
    return _when_done(request, caller, submitted, seconds)


def _when_done(request: Request, caller: Caller, submitted: Response, seconds: float) -> Answer:
    services, task_id = services_of(request), submitted.headers["location"].rpartition("/")[2]

    async def read() -> _Current:
        async with tenant_transaction(services.engine, caller) as connection:
            task = await find_task(connection, caller, task_id)
        return _Current(task=task, seq=task.seq, is_terminal=task.status in FINAL_TASK_STATES)

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        with services.hub.subscribe(organization_id=caller.organization_id, subject_id=task_id) as subscription:
            current = await wait_until(lambda _: False, read, subscription, receive, seconds)
        response = answer(_invocation(current.task)) if current.is_terminal else submitted
        await response(scope, receive, send)

    return Detached(wait)


def _question(asked: InvocationCreation) -> dict[str, Any]:
    messages = None if asked.messages is None else [message.model_dump(mode="json") for message in asked.messages]
    return {"input": asked.input if messages is None else messages, "metadata": asked.metadata}


def _invocation(task: Task) -> Invocation:
    if task.status == TaskState.SUCCESS:
        result = InvocationResult.model_validate(task.result)
    else:
        error = {"code": "not_invoked", "message": task.error or f"The task ended as {task.status}."}
        result = InvocationResult(request=None, response=None, output=None, latency_ms=None, attempts=0, error=error)
    return Invocation(**dict(result), task_id=task.task_id, links=task.links)
