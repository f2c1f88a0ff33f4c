"""`/v1/test-runs/retry`: a new run of the tests that failed, for each of the ended runs that a filter finds."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Out, answer
from gateway.api.body import read_body
from gateway.api.idempotency import Made, make_once
from gateway.api.metric_references import References
from gateway.api.run_filter import RunFilter
from gateway.api.run_repetition import RetriedStatuses, repeat_run
from gateway.api.run_submission import RunSubmitted
from gateway.auth.stream_tokens import Issuer
from gateway.errors import ApiError
from gateway.quotas.refusals import LimitReached
from gateway.services import Services, services_of
from workerapp.contract.caller import Caller
from workerapp.contract.repetition import TestsAgain
from workerapp.contract.states import ResultStatus
from workerapp.db.tables import endpoint, test_configuration, test_run
from workerapp.db.tenant import tenant_transaction


class RunRetries(In):
    """Which runs, and which of their tests are executed again."""

    filter: RunFilter
    statuses: RetriedStatuses = Field(default=["fail", "error"])
    dry_run: bool = False


class RetriedRun(Out):
    """A new run, and the one whose tests it repeats."""

    test_run_id: UUID
    rerun_of: UUID


class SkippedRun(Out):
    """A run that cannot be retried, and why."""

    test_run_id: UUID
    code: str
    detail: str


class RunsRetried(Out):
    """How many runs were retried, or would be, and how many more there are that the filter finds."""

    retried: int
    left: int
    dry_run: bool
    test_runs: list[RetriedRun]
    skipped: list[SkippedRun]


_run, _again = test_run.c, test_run.alias("again").c
#: How many tests of a run ended with a status.
_COUNTS = {"fail": _run.failed, "error": _run.errored, "cancelled": _run.cancelled}
#: Two requests at once would both take the same runs.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('retries of ' || current_organization(), 0))")


async def retry_test_runs(request: Request, caller: Caller) -> Response:
    """The oldest first, and none that another run repeats already: asking again goes on with what is left."""
    services = services_of(request)
    asked = await read_body(request, RunRetries)
    wanted = _conditions(asked, caller)
    oldest = select(_run.id).where(*wanted).order_by(_run.created_at, _run.id).limit(services.settings.max_runs_at_once)
    if asked.dry_run:
        async with tenant_transaction(services.engine, caller) as connection:
            found = len((await connection.execute(oldest)).all())
            left = await _count(connection, wanted) - found
        return answer(RunsRetried(retried=found, left=left, dry_run=True, test_runs=[], skipped=[]))
    issuer = await services.stream_tokens.issuer(caller)

    async def work(connection: AsyncConnection) -> Made:
        await connection.execute(_LOCK)
        sources = (await connection.execute(oldest)).scalars().all()
        retries = _Retries(services, issuer, [ResultStatus(status) for status in asked.statuses])
        await retries.make(connection, sources)
        left = await _count(connection, wanted) - len(retries.skipped)
        body = RunsRetried(
            retried=len(retries.made), left=left, dry_run=False, test_runs=retries.made, skipped=retries.skipped
        )
        details = {"filter": asked.filter.model_dump(mode="json", exclude_unset=True)}
        return Made(status=202, body=body, details=details | {"retried": body.retried, "left": left})

    response = await make_once(request, caller, asked, work)
    services.hints.submitted()
    return response


class _Retries:
    """What became of each run of one request."""

    def __init__(self, services: Services, issuer: Issuer, statuses: list[ResultStatus]) -> None:
        self._services = services
        self._issuer = issuer
        self._statuses = statuses
        self.made: list[RetriedRun] = []
        self.skipped: list[SkippedRun] = []

    async def make(self, connection: AsyncConnection, sources: Sequence[UUID]) -> None:
        """Retry one after the other, until the organization has no room for more.

        Raises:
            TooManyRuns, TooManyQueuedTests: there is no room for any.
        """
        for source_id in sources:
            try:
                await self._retry(connection, source_id)
            except LimitReached:
                if not self.made:
                    raise
                return
            except ApiError as refused:
                # It was refused before anything was written.
                self.skipped.append(SkippedRun(test_run_id=source_id, code=refused.code, detail=refused.detail))

    async def _retry(self, connection: AsyncConnection, source_id: UUID) -> None:
        repetition = TestsAgain(source_id=source_id, statuses=self._statuses)
        made = await repeat_run(
            connection, self._services, self._issuer, repetition, references=References(), callback_url=None
        )
        assert isinstance(made.body, RunSubmitted)
        self.made.append(RetriedRun(test_run_id=made.body.test_run_id, rerun_of=source_id))


def _conditions(asked: RunRetries, caller: Caller) -> list[ColumnElement[bool]]:
    """Runs that have ended, have such tests, are repeated by no other run, and whose definitions can still be used."""
    usable = select(test_configuration.c.id).join(endpoint, endpoint.c.id == test_configuration.c.endpoint_id)
    usable = usable.where(test_configuration.c.archived_at.is_(None), endpoint.c.archived_at.is_(None))
    return [
        *(_run.organization_id == caller.organization_id, _run.finished_at.is_not(None)),
        or_(*(_COUNTS[status] > 0 for status in asked.statuses)),
        ~select(_again.id).where(_again.rerun_of == _run.id).exists(),
        _run.test_configuration_id.in_(usable),
        *asked.filter.conditions(),
    ]


async def _count(connection: AsyncConnection, wanted: list[ColumnElement[bool]]) -> int:
    return int((await connection.execute(select(func.count()).where(*wanted))).scalar_one())
