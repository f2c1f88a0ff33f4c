"""`/v1/run-groups`: how far the runs of a group are, and what the comparison of them found."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Links, Out, Time, answer
from gateway.api.current import Current, answer_current
from gateway.api.group_submission import group_links
from gateway.api.paging import PageQuery, not_found, page_limit, page_of, path_uuid, read_cursor, read_query
from gateway.api.routing import Answer
from gateway.api.run_comparison import Change
from gateway.api.test_runs import duration_seconds, pass_rate
from gateway.audit import Particulars, note
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.contract.states import FINAL_RUN_STATUSES, RunStatus
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction

WHAT = "run group"


class RunGroupSummary(Out):
    """A group of runs in a list."""

    id: UUID
    name: str | None
    status: RunStatus
    test_set_id: UUID | None
    task_id: str | None
    baseline_test_run_id: UUID | None
    total: int | None
    finished: int
    seq: int
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancel_requested_at: Time | None
    duration_seconds: float | None
    links: Links


class GroupRun(Out):
    """One of the runs, as it is now."""

    test_run_id: UUID
    test_configuration_id: UUID
    endpoint_id: UUID
    status: RunStatus
    total: int | None
    pending: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    unscored: int
    pass_rate: float | None
    links: Links


class ComparedGroupRun(Out):
    """What came of one of the runs, and how many of its tests changed in which way; null for the baseline itself."""

    test_run_id: UUID
    test_configuration_id: UUID
    status: RunStatus
    total: int | None
    passed: int
    failed: int
    errored: int
    cancelled: int
    unscored: int
    pass_rate: float | None
    changes: dict[Change, int] | None


class GroupComparison(Out):
    """On how many of the tests the runs differ, and how each of them differs from the baseline."""

    tests: int
    differing: int
    runs: list[ComparedGroupRun]


class RunGroup(RunGroupSummary):
    """A group with its runs; the comparison is there when it has ended."""

    runs: list[GroupRun]
    comparison: GroupComparison | None


class RunGroupQuery(PageQuery):
    """Which groups."""

    status: RunStatus | None = None
    test_set_id: UUID | None = None


_group = tables.run_group.c
_run = tables.test_run.c
_configuration = tables.test_configuration.c
_SAME = ("id", "name", "status", "test_set_id", "task_id", "finished", "seq")
_TIMES = ("created_at", "started_at", "finished_at", "cancel_requested_at")
_COUNTS = ("pending", "passed", "failed", "errored", "cancelled", "unscored")
_SUMMARY = (*(_group[name] for name in (*_SAME, *_TIMES, "planned", "baseline_id")),)
_CANCEL = text("SELECT cancel_group(:id)")


async def list_run_groups(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    query = read_query(request, RunGroupQuery)
    limit, before = page_limit(query, services.settings), read_cursor(query, UUID)
    statement = select(*_SUMMARY).where(_group.organization_id == caller.organization_id)
    if query.status is not None:
        statement = statement.where(_group.status == query.status)
    if query.test_set_id is not None:
        statement = statement.where(_group.test_set_id == query.test_set_id)
    if before is not None:
        statement = statement.where(_group.id < before)
    async with tenant_transaction(services.engine, caller) as connection:
        rows = (await connection.execute(statement.order_by(_group.id.desc()).limit(limit + 1))).all()
    return answer(page_of(rows, limit, lambda row: RunGroupSummary(**_summary(row)), lambda row: row.id))


async def get_run_group(request: Request, caller: Caller) -> Answer:
    """The group, or 304; with `Prefer: wait` when it has ended, or is no more what the caller has."""
    engine, key = services_of(request).engine, path_uuid(request, "run_group_id", WHAT)

    async def read() -> Current:
        async with tenant_transaction(engine, caller) as connection:
            group = await _read_group(connection, caller, key)
        return Current(body=group, seq=group.seq, is_terminal=group.status in FINAL_RUN_STATUSES)

    return await answer_current(request, caller, str(key), read)


async def cancel_run_group(request: Request, caller: Caller) -> Response:
    """Cancels the group's runs; it settles when they have, and one that has ended already is answered as it is."""
    services = services_of(request)
    key = path_uuid(request, "run_group_id", WHAT)
    async with tenant_transaction(services.engine, caller) as connection:
        await find_group(connection, caller, key)
        await connection.execute(_CANCEL, {"id": key})
        group = await _read_group(connection, caller, key)
        await note(connection, request, caller, Particulars(details={"status": group.status}))
    services.hints.news(CONTROL_CHANNEL, EVENT_CHANNEL)
    return answer(group, 200 if group.status in FINAL_RUN_STATUSES else 202)


async def find_group(connection: AsyncConnection, caller: Caller, key: UUID) -> Any:
    """Read a group without its runs.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    statement = select(*_SUMMARY, _group.comparison).where(
        _group.organization_id == caller.organization_id, _group.id == key
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise not_found(WHAT, key)
    return row


async def runs_of(connection: AsyncConnection, caller: Caller, key: UUID) -> list[GroupRun]:
    """The runs of a group in the order in which it was asked for; those that retention has removed are missing."""
    names = ("test_configuration_id", "status", *_COUNTS)
    statement = (
        select(_run.id, _run.planned, *(_run[name] for name in names), _configuration.endpoint_id)
        .join(tables.test_configuration, _configuration.id == _run.test_configuration_id)
        .where(_run.organization_id == caller.organization_id, _run.run_group_id == key)
        .order_by(_run.group_place)
    )
    return [
        GroupRun(
            **{name: getattr(row, name) for name in (*names, "endpoint_id")},
            test_run_id=row.id,
            total=row.planned,
            pass_rate=pass_rate(row),
            links={"self": f"/v1/test-runs/{row.id}", "results": f"/v1/test-runs/{row.id}/results"},
        )
        for row in await connection.execute(statement)
    ]


async def _read_group(connection: AsyncConnection, caller: Caller, key: UUID) -> RunGroup:
    row = await find_group(connection, caller, key)
    comparison = None if row.comparison is None else _comparison(row.comparison)
    return RunGroup(**_summary(row), runs=await runs_of(connection, caller, key), comparison=comparison)


def _summary(row: Any) -> dict[str, Any]:
    links = group_links(row.id) | ({} if row.task_id is None else {"task": f"/v1/tasks/{row.task_id}"})
    return {
        **{name: getattr(row, name) for name in (*_SAME, *_TIMES)},
        "baseline_test_run_id": row.baseline_id,
        "total": row.planned,
        "duration_seconds": duration_seconds(row.started_at, row.finished_at),
        "links": links,
    }


def _comparison(stored: dict[str, Any]) -> GroupComparison:
    runs = [
        run
        | {"changes": None if run["changes"] is None else {change: run["changes"].get(change, 0) for change in Change}}
        for run in stored["runs"]
    ]
    return GroupComparison.model_validate(stored | {"runs": runs})
