"""Submitting a run: its row, its task and the answer that tells where to watch it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Interval, bindparam, func, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.api.answers import WEBSOCKET, Links, Out
from gateway.api.callbacks import Callback
from gateway.api.idempotency import Made
from gateway.auth.stream_tokens import Issuer
from gateway.launcher import LaunchOptions
from gateway.quotas.run_size import size_of_repetition, size_of_run
from gateway.services import Services
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.repetition import AnswersAgain, TestsAgain
from workerapp.contract.specs import RunOptions
from workerapp.contract.states import RunStatus
from workerapp.contract.tasks import EXECUTE_TEST_CONFIGURATION
from workerapp.db import tables
from workerapp.db.direct import DirectStatement

_run = tables.test_run.c
_GIVEN = (
    *(_run.organization_id, _run.test_configuration_id, _run.task_id, _run.expected, _run.created_by),
    *(_run.rerun_of, _run.rescore_of, _run.callback_url, _run.callback_endpoint_id),
)
_INSERT = DirectStatement(
    insert(tables.test_run)
    .values(
        {column.name: bindparam(column.name, type_=column.type) for column in _GIVEN}
        | {"deadline_at": func.now() + bindparam("time", type_=Interval)}
    )
    .returning(_run.id)
)


class RunSubmitted(Out):
    """A run that is queued, and the task that carries it."""

    task_id: str
    test_run_id: UUID
    status: RunStatus
    links: Links
    stream_token: str


async def submit_run(
    connection: AsyncConnection,
    services: Services,
    issuer: Issuer,
    configuration_id: UUID,
    *,
    repetition: TestsAgain | AnswersAgain | None = None,
    overrides: RunOptions | None = None,
    callback: Callback,
) -> Made:
    """Queue a run of the configuration for the issuer's caller, in the open transaction; 202 and a `RunSubmitted`.

    What `overrides` sets holds for this run instead of what the configuration says.

    Raises:
        TooManyRuns, TooManyQueuedTests, TooManyTests: the organization has no room for it.
    """
    task_id, caller = str(uuid4()), issuer.caller
    if repetition is None:
        expected = await size_of_run(connection, caller, configuration_id, overrides)
    else:
        expected = await size_of_repetition(connection, caller, repetition)
    await services.capacity.check_runs(connection, caller, [expected])
    run = {
        "organization_id": caller.organization_id,
        "test_configuration_id": configuration_id,
        "task_id": task_id,
        "expected": expected,
        "created_by": caller.user_id,
        "time": timedelta(seconds=services.settings.run_deadline_seconds),
        "rerun_of": repetition.source_id if isinstance(repetition, TestsAgain) else None,
        "rescore_of": repetition.source_id if isinstance(repetition, AnswersAgain) else None,
        **callback.columns(),
    }
    made = await _INSERT.fetch_one(connection, run)
    assert made is not None
    run_id: UUID = made["id"]
    further: dict[str, Any] = {} if repetition is None else {"repetition": repetition.model_dump(mode="json")}
    if overrides is not None and overrides.model_fields_set:
        further["overrides"] = overrides.model_dump(mode="json", exclude_unset=True)
    await services.launcher.task_launcher(
        connection,
        EXECUTE_TEST_CONFIGURATION,
        str(configuration_id),
        str(run_id),
        current_user=caller,
        options=LaunchOptions(task_id=task_id, test_run_id=run_id),
        **further,
    )
    path, subject = f"/v1/test-runs/{run_id}", Subject(SubjectKind.TEST_RUN, str(run_id))
    links = {"self": path, "events": f"{path}/events", "websocket": WEBSOCKET, "cancel": f"{path}/cancel"}
    body = RunSubmitted(
        task_id=task_id,
        test_run_id=run_id,
        status=RunStatus.QUEUED,
        links=links | callback.links(),
        stream_token=issuer.for_subject(subject),
    )
    return Made(status=202, location=path, body=body, subject=subject)
