"""`/v1/test-runs/{id}/compare/{other}`: what changed, test by test, between an earlier run and this one."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import BeforeValidator, Field
from sqlalchemy.dialects.postgresql import JSONB
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Out, answer
from gateway.api.paging import PageQuery, Position, page_limit, page_of, path_uuid, read_cursor, read_query, split_words
from gateway.api.test_runs import WHAT, find_run
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.states import ResultStatus, RunStatus
from workerapp.db.statements import clause
from workerapp.db.tenant import tenant_transaction

_STATEMENT = clause("comparison", "of_runs").columns(counts=JSONB)

#: A position, and 0 for a test of the run or 1 for one that only the baseline has.
_Place: TypeAlias = tuple[Position, Annotated[int, Field(ge=0, le=1)]]
_BEFORE_ALL = (-1, 0)


class Change(StrEnum):
    """How a test's result differs from the one it had in the baseline."""

    NEWLY_FAILING = "newly_failing"
    NEWLY_PASSING = "newly_passing"
    NEWLY_ERRORED = "newly_errored"
    OTHERWISE = "otherwise"
    UNCHANGED = "unchanged"
    ONLY_IN_RUN = "only_in_run"
    ONLY_IN_BASELINE = "only_in_baseline"


class ComparisonQuery(PageQuery):
    """Which tests; those that changed, unless this says otherwise."""

    change: Annotated[list[Change], BeforeValidator(split_words), Field(min_length=1)] | None = None


class ComparedRun(Out):
    """One side of a comparison."""

    test_run_id: UUID
    status: RunStatus
    total: int | None
    passed: int
    failed: int
    errored: int


class ComparedResult(Out):
    """What came of a test in one of the runs, over its repeats; texts are of the first that ended so, and cut off."""

    test_id: UUID
    position: int
    status: ResultStatus
    repeats: int
    passed: int
    score: float | None
    output: str | None
    reason: str | None


class ComparedTest(Out):
    """One test in both runs; a side is null where that run does not have the test."""

    change: Change
    input: str | None
    run: ComparedResult | None
    baseline: ComparedResult | None


class Comparison(Out):
    """How many tests changed in which way, and a page of them."""

    run: ComparedRun
    baseline: ComparedRun
    counts: dict[Change, int]
    items: list[ComparedTest]
    next_cursor: str | None


async def compare_test_runs(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key, other = (path_uuid(request, name, WHAT) for name in ("test_run_id", "other_test_run_id"))
    query = read_query(request, ComparisonQuery)
    limit, after = page_limit(query, services.settings), read_cursor(query, _Place) or _BEFORE_ALL
    parameters = {
        "run": key,
        "baseline": other,
        "organization_id": caller.organization_id,
        "changes": query.change or [change for change in Change if change is not Change.UNCHANGED],
        "after_position": after[0],
        "after_side": after[1],
        "limit": limit + 1,
        "excerpt": services.settings.excerpt_length,
    }
    async with tenant_transaction(services.engine, caller) as connection:
        run, baseline = await find_run(connection, caller, key), await find_run(connection, caller, other)
        rows = (await connection.execute(_STATEMENT, parameters)).mappings().all()
    found = page_of(
        [row for row in rows if row["place"] is not None], limit, _test, lambda row: (row["place"], row["side"])
    )
    counts = rows[0]["counts"] or {}
    return answer(
        Comparison(
            run=_run(run),
            baseline=_run(baseline),
            counts={change: counts.get(change, 0) for change in Change},
            items=found.items,
            next_cursor=found.next_cursor,
        )
    )


def _run(row: Any) -> ComparedRun:
    counts = {name: getattr(row, name) for name in ("status", "passed", "failed", "errored")}
    return ComparedRun(test_run_id=row.id, total=row.planned, **counts)


def _test(row: Any) -> ComparedTest:
    return ComparedTest(
        change=row["change"], input=row["input"], run=_result(row, ""), baseline=_result(row, "baseline_")
    )


def _result(row: Any, prefix: str) -> ComparedResult | None:
    fields = {name: row[prefix + name] for name in ComparedResult.model_fields}
    return None if fields["test_id"] is None else ComparedResult(**fields)
