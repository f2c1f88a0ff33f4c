"""`/v1/run-groups/{id}/differences`: the tests on which the runs of a group differ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Out, answer
from gateway.api.paging import PageQuery, Position, page_limit, page_of, path_uuid, read_cursor, read_query, split_words
from gateway.api.run_comparison import Change, ComparedResult
from gateway.api.run_groups import WHAT, find_group, runs_of
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.db.statements import clause
from workerapp.db.tenant import tenant_transaction

_STATEMENT = clause("groups", "differences")

#: Of a test: its position, and its id.
_Place: TypeAlias = tuple[Position, UUID]
_BEFORE_ALL = (-1, UUID(int=0))


class DifferenceQuery(PageQuery):
    """Which tests: those that changed so in one of the runs, against the baseline."""

    change: Annotated[list[Change], BeforeValidator(split_words), Field(min_length=1)] | None = None


class RunOutcome(Out):
    """What came of the test in one run; without a result if the run does not have the test."""

    test_run_id: UUID
    #: Against the baseline; null for the baseline itself, and where neither has the test.
    change: Change | None
    result: ComparedResult | None


class Difference(Out):
    """A test that did not end in the same way in all of the runs, which come in the order of the group."""

    test_id: UUID
    position: int
    input: str | None
    outcomes: list[RunOutcome]


async def list_differences(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = path_uuid(request, "run_group_id", WHAT)
    query = read_query(request, DifferenceQuery)
    limit, after = page_limit(query, services.settings), read_cursor(query, _Place) or _BEFORE_ALL
    parameters = {
        "group": key,
        "organization_id": caller.organization_id,
        "changes": query.change,
        "after_place": after[0],
        "after_key": after[1],
        "limit": limit + 1,
        "excerpt": services.settings.excerpt_length,
    }
    async with tenant_transaction(services.engine, caller) as connection:
        group = await find_group(connection, caller, key)
        runs = [run.test_run_id for run in await runs_of(connection, caller, key)]
        rows = (await connection.execute(_STATEMENT, parameters)).mappings().all()
    tests = [list(same) for _, same in groupby(rows, key=lambda row: row["key"])]

    def item(test: Sequence[Any]) -> Difference:
        return _difference(test, runs, group.baseline_id)

    return answer(page_of(tests, limit, item, lambda test: (test[0]["place"], test[0]["key"])))


def _difference(rows: Sequence[Any], runs: Sequence[UUID], baseline_id: UUID) -> Difference:
    known = {row["test_run_id"]: row for row in rows}
    first = rows[0]
    return Difference(
        test_id=first["key"],
        position=first["place"],
        input=first["input"],
        outcomes=[_outcome(run, known.get(run), is_baseline=run == baseline_id) for run in runs],
    )


def _outcome(run: UUID, row: Any | None, *, is_baseline: bool) -> RunOutcome:
    change = None if row is None or is_baseline else row["change"]
    has_test = row is not None and row["test_id"] is not None
    result = ComparedResult(**{name: row[name] for name in ComparedResult.model_fields}) if has_test and row else None
    return RunOutcome(test_run_id=run, change=change, result=result)
