"""The tenant-aware launcher: the only place in the gateway that submits tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.middleware import request_id
from gateway.outbox import enqueue
from gateway.submission.metrics import SubmissionMetrics
from workerapp.app import Producer
from workerapp.contract.caller import REQUEST_HEADER, USER_HEADER, Caller
from workerapp.contract.tasks import RUN_GROUP_HEADER, TEST_RUN_HEADER
from workerapp.tracing.span import Attributes, Kind, part


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchOptions:
    """What a submission may choose besides the task's arguments; None leaves the choice to the launcher."""

    task_id: str | None = None
    test_run_id: UUID | None = None
    run_group_id: UUID | None = None
    queue: str | None = None
    #: When it may begin, and until when.
    eta: datetime | None = None
    expires: datetime | None = None
    #: From 0 to 9; of one organization's tasks in a queue the higher one comes first.
    priority: int | None = None

    def publishing(self) -> dict[str, Any]:
        """What of this is an option of Celery's `apply_async`."""
        given = {name: getattr(self, name) for name in ("queue", "eta", "expires", "priority")}
        return {name: value for name, value in given.items() if value is not None}


class Launcher:
    """Submits tasks for a caller, in the transaction of the caller's request."""

    def __init__(self, producer: Producer, metrics: SubmissionMetrics) -> None:
        self._producer, self._metrics = producer, metrics

    async def task_launcher(
        self,
        connection: AsyncConnection,
        task: str,
        *args: Any,
        current_user: Caller,
        options: LaunchOptions | None = None,
        **kwargs: Any,
    ) -> str:
        """Submit `task` with these arguments, for the tenant and user of `current_user`; returns the task's id."""
        return await self.launch(connection, current_user, task, args=args, kwargs=kwargs, options=options)

    async def launch(
        self,
        connection: AsyncConnection,
        caller: Caller,
        task: str,
        *,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: LaunchOptions | None = None,
    ) -> str:
        """Submit `task` for the caller; returns the task's id.

        The task's row, in state PENDING, and its message appear when the transaction of `connection` commits. It must
        already act for the caller's tenant (`tenant_transaction`).
        """
        options = options or LaunchOptions()
        headers = caller.headers() | {REQUEST_HEADER: request_id.get()}
        if options.test_run_id is not None:
            headers[TEST_RUN_HEADER] = str(options.test_run_id)
        if options.run_group_id is not None:
            headers[RUN_GROUP_HEADER] = str(options.run_group_id)
        task_id = options.task_id or str(uuid4())
        began = monotonic()
        with part(Kind.PRODUCER, f"send {task}", _attributes(task, task_id, headers)) as span:
            messages = self._producer.messages(
                task,
                tuple(args),
                dict(kwargs),
                headers=headers | span.message_headers,
                task_id=task_id,
                **options.publishing(),
            )
            span.tell({"messaging.destination.name": messages[0].queue})
            await enqueue(connection, messages)
        self._metrics.submit(task, monotonic() - began)
        return task_id


def _attributes(task: str, task_id: str, headers: Mapping[str, str]) -> Attributes:
    about = {f"gateway.{name}": value for name, value in headers.items() if name != USER_HEADER}
    sending = {"messaging.system": "celery", "messaging.operation.type": "send", "messaging.message.id": task_id}
    return sending | {"gateway.task": task} | about
