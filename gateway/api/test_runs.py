"""`/v1/test-runs`: how far a run is, and what came of each test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field
from sqlalchemy import ColumnElement, Row, Select, case, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import WEBSOCKET, Links, Out, Time, answer
from gateway.api.current import Current, answer_current
from gateway.api.paging import (
    PageQuery,
    Position,
    not_found,
    page_limit,
    page_of,
    path_uuid,
    read_cursor,
    read_query,
    split_words,
)
from gateway.api.routing import Answer
from gateway.api.run_filter import RunFilter
from gateway.api.sorting import Sort, SortedQuery, Sorting, answer_page, read_sorted
from gateway.audit import Particulars, note
from gateway.errors import RunNotEnded
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.contract.specs import MAX_REPEATS, RunOptions, Sample
from workerapp.contract.states import FINAL_RUN_STATUSES, ResultStatus, RunStatus
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction

WHAT = "test run"
#: How many tests one request names, whose results it wants.
MOST_TESTS = 100

#: A position, and which execution of the test that is there.
ResultPlace: TypeAlias = tuple[Position, Annotated[int, Field(ge=1, le=MAX_REPEATS)]]


class RunSettings(Out):
    """How a run is executed: as its configuration says, or otherwise where it was started so."""

    mode: Literal["parallel", "sequential"]
    concurrency: int
    repeats: int
    sample: Sample | None
    max_failures: int | None


class TestRun(Out):
    """A run as it is answered."""

    __test__ = False

    id: UUID
    status: RunStatus
    test_configuration_id: UUID
    test_set_version: int | None
    run_group_id: UUID | None
    task_id: str
    rerun_of: UUID | None
    rescore_of: UUID | None
    settings: RunSettings | None
    total: int | None
    pending: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    unscored: int
    pass_rate: float | None
    reason: str | None
    seq: int
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancel_requested_at: Time | None
    duration_seconds: float | None
    links: Links


class TestResult(Out):
    """What came of one test."""

    __test__ = False

    test_id: UUID
    repeat: int
    position: int
    status: ResultStatus
    input: Any
    turns: list[Any] | None
    expected: Any
    output: Any
    scores: Any
    latency_ms: float | None
    attempts: int
    http_status: int | None
    error: dict[str, Any] | None
    finished_at: Time | None


class RunQuery(SortedQuery, RunFilter):
    """Which runs, and in which order."""


class ResultQuery(PageQuery):
    """Which results."""

    status: Annotated[list[ResultStatus], BeforeValidator(split_words), Field(min_length=1)] | None = None
    test_id: Annotated[list[UUID], BeforeValidator(split_words), Field(min_length=1, max_length=MOST_TESTS)] | None = (
        None
    )

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        asked = ((_result.status, self.status), (_result.test_id, self.test_id))
        return [column.in_(values) for column, values in asked if values is not None]


_run = tables.test_run.c
_result = tables.test_result.c
_COUNTS = ("pending", "passed", "failed", "errored", "cancelled", "unscored")
_ORIGIN = ("test_configuration_id", "test_set_version", "run_group_id", "task_id", "rerun_of", "rescore_of")
_SAME = ("id", "status", *_ORIGIN, *_COUNTS, "reason", "seq")
_TIMES = ("created_at", "started_at", "finished_at", "cancel_requested_at")
_VERSION = _run.snapshot["test_set_version"].as_integer().label("test_set_version")
_SETTINGS = case(
    (
        _run.snapshot.is_not(None),
        func.jsonb_build_object(
            *(part for name in RunSettings.model_fields for part in (name, _run.snapshot["configuration", name]))
        ),
    )
).label("settings")
_UNSAID = RunOptions().model_dump()
_RUN_COLUMNS = (
    *(_run[name] for name in (*_SAME, *_TIMES, "planned") if name != "test_set_version"),
    *(_VERSION, _SETTINGS),
)
_RESULT_COLUMNS = (
    *(_result.test_id, _result.repeat, _result.position, _result.status),
    *(tables.test.c.input, tables.test.c.turns, tables.test.c.expected),
    *(_result.output, _result.scores, _result.latency_ms, _result.attempts, _result.http_status),
    *(_result.error, _result.finished_at),
)
_SORTING = Sorting(
    created_at=_run.created_at,
    finished_at=_run.finished_at,
    id=_run.id,
    cursor=tuple[Sort, AwareDatetime, UUID],
)
_CANCEL = text("SELECT cancel_run(:id)")


async def list_test_runs(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    query = read_sorted(request, RunQuery, TestRun)
    limit = page_limit(query, services.settings)
    statement = select(*_RUN_COLUMNS).where(_run.organization_id == caller.organization_id, *query.conditions())
    async with tenant_transaction(services.engine, caller) as connection:
        rows = (await connection.execute(_SORTING.page(statement, query, limit))).all()
    return answer_page(query, rows, limit, answered_run, "id")


async def get_test_run(request: Request, caller: Caller) -> Answer:
    """The run, or 304; with `Prefer: wait` when it has ended, or is no more what the caller has."""
    engine, key = services_of(request).engine, path_uuid(request, "test_run_id", WHAT)

    async def read() -> Current:
        async with tenant_transaction(engine, caller) as connection:
            run = answered_run(await find_run(connection, caller, key))
        return Current(body=run, seq=run.seq, is_terminal=run.status in FINAL_RUN_STATUSES)

    return await answer_current(request, caller, str(key), read)


async def cancel_test_run(request: Request, caller: Caller) -> Response:
    """Cancels the run; it settles within a second, and one that has ended already is answered as it is."""
    services = services_of(request)
    key = path_uuid(request, "test_run_id", WHAT)
    async with tenant_transaction(services.engine, caller) as connection:
        await find_run(connection, caller, key)
        await connection.execute(_CANCEL, {"id": key})
        run = answered_run(await find_run(connection, caller, key))
        await note(connection, request, caller, Particulars(details={"status": run.status}))
    services.hints.news(CONTROL_CHANNEL, EVENT_CHANNEL)
    return answer(run, 200 if run.status in FINAL_RUN_STATUSES else 202)


async def list_test_results(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = path_uuid(request, "test_run_id", WHAT)
    query = read_query(request, ResultQuery)
    limit, after = page_limit(query, services.settings), read_cursor(query, ResultPlace)
    statement = results_of(caller, key, after).where(*query.conditions())
    async with tenant_transaction(services.engine, caller) as connection:
        await find_run(connection, caller, key)
        rows = (await connection.execute(statement.limit(limit + 1))).mappings().all()
    return answer(page_of(rows, limit, lambda row: TestResult(**row), place_of))


def place_of(result: Mapping[str, Any]) -> ResultPlace:
    """Behind what a page of results goes on."""
    return result["position"], result["repeat"]


def results_of(caller: Caller, key: UUID, after: ResultPlace | None) -> Select[Any]:
    """A run's results in the order of its tests and of their repeats, those behind a place if there is one.

    Rows are `TestResult`s.
    """
    statement = (
        select(*_RESULT_COLUMNS)
        .join(tables.test, tables.test.c.id == _result.test_id)
        .where(_result.organization_id == caller.organization_id, _result.test_run_id == key)
        .order_by(_result.position, _result.repeat)
    )
    return statement if after is None else statement.where(tuple_(_result.position, _result.repeat) > tuple_(*after))


async def find_run(connection: AsyncConnection, caller: Caller, key: UUID) -> Row[Any]:
    """Read a run.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    statement = select(*_RUN_COLUMNS).where(_run.organization_id == caller.organization_id, _run.id == key)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise not_found(WHAT, key)
    return row


async def find_ended_run(connection: AsyncConnection, caller: Caller, key: UUID) -> Row[Any]:
    """Read a run that is to be used as a whole.

    Raises:
        NotFound: there is none, or it is another organization's.
        RunNotEnded: it still goes on.
    """
    row = await find_run(connection, caller, key)
    if row.finished_at is None:
        raise RunNotEnded(f"The test run {key} is still {row.status}; ask again when it has ended.")
    return row


def answered_run(row: Any) -> TestRun:
    """A run as it is answered, from the row of `find_run`."""
    path = f"/v1/test-runs/{row.id}"
    return TestRun(
        **{name: getattr(row, name) for name in (*_SAME, *_TIMES)},
        settings=_settings(row.settings),
        total=row.planned,
        pass_rate=pass_rate(row),
        duration_seconds=duration_seconds(row.started_at, row.finished_at),
        links={
            "self": path,
            "events": f"{path}/events",
            "websocket": WEBSOCKET,
            "results": f"{path}/results",
            "cancel": f"{path}/cancel",
            "task": f"/v1/tasks/{row.task_id}",
            **({} if row.run_group_id is None else {"run_group": f"/v1/run-groups/{row.run_group_id}"}),
        },
    )


def pass_rate(row: Any) -> float | None:
    """Of the tests that were executed; one that ended with an error has not passed."""
    judged = row.passed + row.failed + row.errored
    return round(row.passed / judged, 6) if judged else None


def _settings(stored: dict[str, Any] | None) -> RunSettings | None:
    """None until the run is planned; what a run was planned without is as if nothing had been said."""
    if stored is None:
        return None
    return RunSettings(**_UNSAID | {name: value for name, value in stored.items() if value is not None})


def duration_seconds(started_at: datetime | None, finished_at: datetime | None) -> float | None:
    """From start to end, or until now while it runs; None before it starts."""
    if started_at is None:
        return None
    # The clocks of the two machines may differ a little.
    return max(0.0, round(((finished_at or datetime.now(UTC)) - started_at).total_seconds(), 6))
