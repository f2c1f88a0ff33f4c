"""`/v1/test-runs/{id}/retry`, `…/rerun` and `…/rescore`: new runs made of one that has ended, which stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import endpoints, test_configurations
from gateway.api.answers import In
from gateway.api.body import read_body
from gateway.api.callbacks import check_callback, find_callback
from gateway.api.idempotency import Made, make_once
from gateway.api.metric_references import References, check_configured
from gateway.api.paging import path_uuid
from gateway.api.run_submission import submit_run
from gateway.api.test_runs import WHAT, find_ended_run
from gateway.auth.stream_tokens import Issuer
from gateway.errors import NothingToRun
from gateway.services import Services, services_of
from workerapp.contract.caller import Caller
from workerapp.contract.metrics import Metric
from workerapp.contract.repetition import AnswersAgain, TestsAgain
from workerapp.contract.states import ResultStatus
from workerapp.db.tables import test_result

RetriedStatuses: TypeAlias = Annotated[list[Literal["fail", "error", "cancelled"]], Field(min_length=1)]


class Repetition(In):
    """Where the end of the new run is told."""

    callback_url: str | None = None


class Retry(Repetition):
    """Which tests are executed again."""

    statuses: RetriedStatuses = Field(default=["fail", "error"])


class Rerun(Repetition):
    """What can be said about a run of all tests."""


class Rescore(Repetition):
    """What the answers are judged by; the configuration's metrics when nothing is given."""

    metrics: Annotated[list[Metric], Field(max_length=100)] | None = None


async def retry_test_run(request: Request, caller: Caller) -> Response:
    asked = await read_body(request, Retry, default=b"{}")
    statuses = [ResultStatus(status) for status in asked.statuses]
    return await _repeat(request, caller, asked, lambda source_id: TestsAgain(source_id=source_id, statuses=statuses))


async def rerun_test_run(request: Request, caller: Caller) -> Response:
    asked = await read_body(request, Rerun, default=b"{}")
    return await _repeat(request, caller, asked, lambda source_id: TestsAgain(source_id=source_id))


async def rescore_test_run(request: Request, caller: Caller) -> Response:
    asked = await read_body(request, Rescore, default=b"{}")
    return await _repeat(
        request, caller, asked, lambda source_id: AnswersAgain(source_id=source_id, metrics=asked.metrics)
    )


async def _repeat(
    request: Request, caller: Caller, asked: Repetition, repetition_of: Callable[[UUID], TestsAgain | AnswersAgain]
) -> Response:
    services = services_of(request)
    repetition = repetition_of(path_uuid(request, "test_run_id", WHAT))
    references = References(services.settings.outbound)
    if isinstance(repetition, AnswersAgain):
        references.add_all(repetition.metrics or (), "/metrics")
    check_callback(services, asked.callback_url)
    issuer = await services.stream_tokens.issuer(caller)

    async def work(connection: AsyncConnection) -> Made:
        return await repeat_run(
            connection, services, issuer, repetition, references=references, callback_url=asked.callback_url
        )

    response = await make_once(request, caller, asked, work)
    services.hints.submitted()
    return response


async def repeat_run(
    connection: AsyncConnection,
    services: Services,
    issuer: Issuer,
    repetition: TestsAgain | AnswersAgain,
    *,
    references: References,
    callback_url: str | None,
) -> Made:
    """Queue the new run, in the open transaction; 202 and a `RunSubmitted`. `references` are what the request names.

    Raises:
        NotFound, RunNotEnded, NothingToRun: there is nothing to repeat, or something that it needs is not there.
        Archived: something that it needs can no longer be used.
        TooManyRuns, TooManyQueuedTests, TooManyTests: the organization has no room for it.
    """
    caller = issuer.caller
    source = await find_ended_run(connection, caller, repetition.source_id)
    if isinstance(repetition, TestsAgain):
        await _check_usable(connection, caller, source.test_configuration_id)
    if isinstance(repetition, TestsAgain) or repetition.metrics is None:
        configuration = await test_configurations.DEFINITION.find(connection, caller, source.test_configuration_id)
        await check_configured(connection, caller, configuration.spec)
    await references.check(connection, caller)
    await _check_anything_to_do(connection, caller, repetition)
    callback = await find_callback(connection, services, caller, callback_url)
    configuration_id = source.test_configuration_id
    return await submit_run(connection, services, issuer, configuration_id, repetition=repetition, callback=callback)


async def _check_usable(connection: AsyncConnection, caller: Caller, configuration_id: UUID) -> None:
    """The endpoint will be asked, so it must not be archived; the test set may be, for a run has tests of its own."""
    configuration = await test_configurations.DEFINITION.find_usable(connection, caller, configuration_id)
    await endpoints.DEFINITION.find_usable(connection, caller, configuration.endpoint_id)


async def _check_anything_to_do(
    connection: AsyncConnection, caller: Caller, repetition: TestsAgain | AnswersAgain
) -> None:
    column = test_result.c
    of_source: Any = select(column.test_id).where(
        column.organization_id == caller.organization_id, column.test_run_id == repetition.source_id
    )
    if isinstance(repetition, AnswersAgain):
        of_source, what = of_source.where(column.status.not_in(["pending", "cancelled"])), "with an answer"
    elif repetition.statuses is None:
        what = "any more"
    else:
        of_source = of_source.where(column.status.in_(repetition.statuses))
        what = f"that ended as {' or '.join(repetition.statuses)}"
    if (await connection.execute(of_source.limit(1))).first() is None:
        raise NothingToRun(f"The test run {repetition.source_id} has no tests {what}.")
