"""A group settles as a function of its runs, once, with its comparison, its events and its task."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.test_settling import events, record, task
from tests.postgres import TestDatabase
from tests.records import PlannedGroup, add_organization, connect, plan_group

ENDS = {"completed": ("pass", "fail"), "partial": ("pass", "error"), "failed": ("error", "error")}


@pytest.fixture
def admin(database: TestDatabase):
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


@pytest.fixture
def worker(database: TestDatabase, organization_id: UUID):
    with connect(database.url, role="worker_rw", organization_id=organization_id) as connection:
        yield connection


def settle(worker: psycopg.Connection, group: PlannedGroup) -> str | None:
    row = worker.execute("SELECT settle_group(%s)", (group.id,)).fetchone()
    assert row is not None
    return row[0]


def comparison(worker: psycopg.Connection, group: PlannedGroup) -> dict[str, Any]:
    row = worker.execute("SELECT comparison FROM run_group WHERE id = %s", (group.id,)).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        (("completed", "completed"), "completed"),
        (("failed", "failed"), "failed"),
        (("completed", "failed"), "partial"),
        (("partial", "partial"), "partial"),
    ],
)
def test_the_outcome_depends_on_those_of_the_runs(admin, organization_id, worker, ends, outcome):
    group = plan_group(admin, organization_id, runs=2, tests=2)
    for run, end in zip(group.runs, ends, strict=True):
        assert settle(worker, group) is None
        assert record(worker, run, *ENDS[end]) == end
    assert settle(worker, group) == outcome


def test_a_group_ends_with_its_task_and_tells_each_run_that_has_ended(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=2, tests=2)
    record(worker, group.runs[0], *ENDS["completed"])
    record(worker, group.runs[1], *ENDS["failed"])
    assert settle(worker, group) == "partial"
    assert events(worker, group.id) == [
        (1, "run_group.queued"),
        (2, "run_group.progress"),
        (3, "run_group.progress"),
        (4, "run_group.progress"),
        (5, "run_group.partial"),
    ]
    state, result, _ = task(worker, group.task_id)
    counts = {"total": 2, "completed": 1, "partial": 0, "failed": 1, "cancelled": 0}
    assert (state, result) == (
        "SUCCESS",
        {"run_group_id": str(group.id), "status": "partial", "counts": counts},
    )


def test_settling_again_changes_nothing_and_writes_no_event(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=1, tests=2)
    record(worker, group.runs[0], *ENDS["completed"])
    assert settle(worker, group) == "completed"
    before = events(worker, group.id), events(worker, group.task_id), comparison(worker, group)
    assert settle(worker, group) == "completed"
    assert (events(worker, group.id), events(worker, group.task_id), comparison(worker, group)) == before


def test_the_runs_are_compared_with_the_baseline_and_with_each_other(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=3, tests=4)
    record(worker, group.runs[0], "pass", "pass", "fail", "fail")
    record(worker, group.runs[1], "pass", "fail", "pass", "fail")
    record(worker, group.runs[2], "pass", "error", "fail", "fail")
    settle(worker, group)
    found = comparison(worker, group)
    assert (found["tests"], found["differing"]) == (4, 2)
    assert [run["test_run_id"] for run in found["runs"]] == [str(run.id) for run in group.runs]
    assert [run["changes"] for run in found["runs"]] == [
        None,
        {"unchanged": 2, "newly_failing": 1, "newly_passing": 1},
        {"unchanged": 3, "newly_errored": 1},
    ]
    assert [(run["status"], run["passed"], run["pass_rate"]) for run in found["runs"]] == [
        ("completed", 2, 0.5),
        ("completed", 2, 0.5),
        ("partial", 1, 0.25),
    ]


def test_a_test_that_only_some_runs_have_differs_unless_a_run_was_never_planned(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=3, tests=2)
    first, second, third = group.runs
    admin.execute("DELETE FROM test_result WHERE test_run_id = %s AND position = 1", (second.id,))
    admin.execute("DELETE FROM test_result WHERE test_run_id = %s", (third.id,))
    admin.execute("UPDATE test_run SET planned = NULL, pending = 0 WHERE id = %s", (third.id,))
    admin.execute("UPDATE task SET state = 'FAILURE' WHERE id = %s", (third.task_id,))
    admin.execute("UPDATE test_run SET pending = 1 WHERE id = %s", (second.id,))
    record(worker, first, "pass", "pass")
    record(worker, second, "pass")
    assert settle(worker, group) == "partial"
    found = comparison(worker, group)
    assert (found["tests"], found["differing"]) == (2, 1)
    assert [run["changes"] for run in found["runs"][1:]] == [
        {"unchanged": 1, "only_in_baseline": 1},
        {"only_in_baseline": 2},
    ]


def test_a_run_that_is_cancelled_alone_leaves_the_others_and_the_group_is_partial(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=2, tests=2)
    admin.execute("SELECT end_run(%s)", (group.runs[0].id,))
    assert settle(worker, group) is None
    record(worker, group.runs[1], *ENDS["completed"])
    assert settle(worker, group) == "partial"


def test_the_cancelled_group_settles_with_its_last_run(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=2, tests=2)
    record(worker, group.runs[0], *ENDS["completed"])
    admin.execute("SELECT end_group(%s)", (group.id,))
    assert events(worker, group.id)[-1][1] == "run_group.cancelled"
    state, result, error = task(worker, group.task_id)
    assert (state, result, error["exc_type"]) == ("REVOKED", None, "TaskRevokedError")
    statuses = worker.execute("SELECT status FROM test_run ORDER BY group_place").fetchall()
    assert statuses == [("completed",), ("cancelled",)]


def test_cancelling_after_the_last_run_is_too_late(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=1, tests=2)
    record(worker, group.runs[0], *ENDS["completed"])
    admin.execute("SELECT end_group(%s)", (group.id,))
    assert settle(worker, group) == "completed"


def test_a_group_whose_runs_were_all_cancelled_counts_as_cancelled(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=2, tests=2)
    for run in group.runs:
        admin.execute("SELECT end_run(%s)", (run.id,))
    assert settle(worker, group) == "cancelled"


@pytest.mark.parametrize(("state", "outcome"), [("FAILURE", "failed"), ("REVOKED", "cancelled")])
def test_a_task_that_ends_before_the_group_began_takes_its_runs_with_it(admin, organization_id, worker, state, outcome):
    group = plan_group(admin, organization_id, runs=2, tests=1)
    admin.execute("DELETE FROM test_result")
    admin.execute("UPDATE test_run SET status = 'queued', planned = NULL, pending = 0")
    error = {"exc_type": "PoisonMessage", "exc_module": "workerapp.request", "exc_message": ["It was lost."]}
    worker.execute("UPDATE task SET state = %s, error = %s WHERE id = %s", (state, Jsonb(error), group.task_id))
    assert events(worker, group.id)[-1][1] == f"run_group.{outcome}"
    rows = worker.execute("SELECT status, reason FROM test_run").fetchall()
    assert rows == [(outcome, "It was lost." if state == "FAILURE" else "The run was cancelled.")] * 2
    states = worker.execute("SELECT state FROM task WHERE test_run_id IS NOT NULL").fetchall()
    assert states == [(state,)] * 2


def test_a_task_that_fails_later_leaves_the_runs_that_were_started(admin, organization_id, worker):
    group = plan_group(admin, organization_id, runs=1, tests=2)
    admin.execute("UPDATE task SET enqueued = true WHERE test_run_id IS NOT NULL")
    worker.execute("UPDATE task SET state = 'FAILURE' WHERE id = %s", (group.task_id,))
    assert worker.execute("SELECT status FROM test_run").fetchone() == ("running",)
    record(worker, group.runs[0], *ENDS["completed"])
    assert settle(worker, group) == "completed"
    assert task(worker, group.task_id)[0] == "FAILURE"


def test_a_group_of_another_organization_is_not_settled(admin, organization_id, database):
    group = plan_group(admin, organization_id, runs=1, tests=1)
    stranger = add_organization(admin)
    with connect(database.url, role="worker_rw", organization_id=stranger) as other:
        assert settle(other, group) is None
        admin.execute(
            "UPDATE test_run SET status = 'completed', finished_at = now() WHERE id = %s", (group.runs[0].id,)
        )
        assert settle(other, group) is None
    assert admin.execute("SELECT status FROM run_group").fetchone() == ("running",)
