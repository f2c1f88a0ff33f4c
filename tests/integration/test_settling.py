"""A run settles as a function of its rows, once, with its events and its task, in the same transaction."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import PlannedRun, add_configuration, add_organization, add_run, connect, plan


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


def record(worker: psycopg.Connection, run: PlannedRun, *statuses: str, start: int = 0) -> str | None:
    batch = [
        {"test_id": str(test_id), "status": status, "attempts": 1}
        for test_id, status in zip(run.test_ids[start:], statuses, strict=False)
    ]
    row = worker.execute("SELECT record_results(%s, %s)", (run.id, Jsonb(batch))).fetchone()
    assert row is not None
    return row[0]


def at_most(failures: int) -> Jsonb:
    """The snapshot of a run that ends after so many failures."""
    return Jsonb({"configuration": {"max_failures": failures}})


def counts(connection: psycopg.Connection, run: PlannedRun) -> dict[str, int]:
    names = ("passed", "failed", "errored", "cancelled", "pending")
    row = connection.execute(f"SELECT {', '.join(names)} FROM test_run WHERE id = %s", (run.id,)).fetchone()
    assert row is not None
    return dict(zip(names, row, strict=True))


def events(connection: psycopg.Connection, subject: object) -> list[tuple[int, str]]:
    rows = connection.execute("SELECT seq, type FROM task_event WHERE subject_id = %s ORDER BY id", (str(subject),))
    return rows.fetchall()


def task(connection: psycopg.Connection, task_id: str) -> tuple[Any, ...]:
    row = connection.execute("SELECT state, result, error FROM task WHERE id = %s", (task_id,)).fetchone()
    assert row is not None
    return row


def test_the_results_of_a_batch_ended_in_the_order_they_are_given_in(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=50)
    given = [str(test_id) for test_id in reversed(run.test_ids)]
    worker.execute("SET enable_nestloop = off")  # a hash join has an order of its own
    batch = [{"test_id": test_id, "status": "pass", "attempts": 1} for test_id in given]
    worker.execute("SELECT record_results(%s, %s)", (run.id, Jsonb(batch)))
    ended = worker.execute(
        "SELECT test_id::text FROM test_result WHERE test_run_id = %s ORDER BY finished_at", (run.id,)
    )
    assert [row[0] for row in ended] == given


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        (("pass", "pass"), "completed"),
        (("fail", "fail"), "completed"),
        (("unscored", "unscored"), "completed"),
        (("pass", "error"), "partial"),
        (("error", "error"), "failed"),
        (("cancelled", "pass"), "completed"),
        (("cancelled", "error"), "failed"),
    ],
)
def test_the_outcome_depends_only_on_what_could_be_executed(admin, organization_id, worker, statuses, outcome):
    run = plan(admin, organization_id, tests=2)
    assert record(worker, run, *statuses) == outcome


def test_the_transaction_of_the_last_result_settles_the_run_and_ends_its_task(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=3)
    assert record(worker, run, "pass", "fail") is None
    assert record(worker, run, "error", start=2) == "partial"
    assert [kind for _, kind in events(worker, run.id)] == [
        "test_run.queued",
        "test_run.started",
        "test_result.finished",
        "test_result.finished",
        "test_run.progress",
        "test_result.finished",
        "test_run.progress",
        "test_run.partial",
    ]
    state, result, _ = task(worker, run.task_id)
    assert state == "SUCCESS"
    assert result["status"] == "partial"
    assert result["counts"] == {"total": 3, "passed": 1, "failed": 1, "errored": 1, "cancelled": 0, "unscored": 0}


def test_the_numbers_of_a_run_have_no_gap_and_follow_the_order_of_writing(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=20)
    for start in range(0, 20, 5):
        record(worker, run, *["pass"] * 5, start=start)
    numbers = [seq for seq, _ in events(worker, run.id)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_test_that_two_lanes_executed_is_counted_once(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=2)
    record(worker, run, "pass")
    before = events(worker, run.id)
    assert record(worker, run, "fail") is None
    assert events(worker, run.id) == before
    assert record(worker, run, "pass", start=1) == "completed"
    counts = worker.execute("SELECT passed, failed, pending FROM test_run WHERE id = %s", (run.id,)).fetchone()
    assert counts == (2, 0, 0)


def test_settling_again_changes_nothing_and_writes_no_event(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=1)
    record(worker, run, "pass")
    before = events(worker, run.id), events(worker, run.task_id)
    assert worker.execute("SELECT settle_run(%s)", (run.id,)).fetchone() == ("completed",)
    assert (events(worker, run.id), events(worker, run.task_id)) == before


def test_a_run_with_pending_tests_is_left_alone(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=2)
    record(worker, run, "pass")
    assert worker.execute("SELECT settle_run(%s)", (run.id,)).fetchone() == (None,)


def test_cancelling_before_the_last_result_wins_over_every_outcome(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=2)
    record(worker, run, "pass")
    worker.execute("UPDATE test_run SET cancel_requested_at = now() WHERE id = %s", (run.id,))
    assert worker.execute("SELECT settle_run(%s)", (run.id,)).fetchone() == ("cancelled",)
    assert events(worker, run.id)[-1][1] == "test_run.cancelled"
    assert task(worker, run.task_id)[0] == "REVOKED"
    assert record(worker, run, "pass", start=1) == "cancelled"


def test_the_last_failure_that_a_run_may_have_ends_it_in_the_transaction_of_its_result(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=6, snapshot=at_most(2))
    assert record(worker, run, "pass", "error") is None
    assert record(worker, run, "fail", "pass", start=2) == "partial"
    assert counts(worker, run) == {"passed": 2, "failed": 1, "errored": 1, "cancelled": 2, "pending": 0}
    assert task(worker, run.task_id)[1]["counts"]["cancelled"] == 2
    before = events(worker, run.id)
    assert record(worker, run, "pass", "pass", start=4) == "partial"
    assert (events(worker, run.id), counts(worker, run)["cancelled"]) == (before, 2)


def test_a_run_whose_last_result_is_its_last_failure_did_not_end_early(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=2, snapshot=at_most(1))
    assert record(worker, run, "pass", "fail") == "completed"
    assert worker.execute("SELECT reason, cancelled FROM test_run WHERE id = %s", (run.id,)).fetchone() == (None, 0)


def test_cancelling_wins_over_an_early_end(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=3, snapshot=at_most(1))
    worker.execute("UPDATE test_run SET cancel_requested_at = now() WHERE id = %s", (run.id,))
    assert record(worker, run, "fail") == "cancelled"
    reason = worker.execute("SELECT reason FROM test_run WHERE id = %s", (run.id,)).fetchone()
    assert reason == ("The run was cancelled.",)


def test_a_run_past_its_deadline_ends_and_says_which_tests_were_not_executed(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=2, deadline_at="2020-01-01T00:00:00Z")
    assert worker.execute("SELECT settle_run(%s)", (run.id,)).fetchone() == ("failed",)
    error = worker.execute("SELECT error FROM test_result WHERE test_run_id = %s LIMIT 1", (run.id,)).fetchone()
    assert error is not None
    assert error[0]["code"] == "deadline"


def test_a_task_that_fails_before_the_run_was_planned_fails_the_run_with_its_reason(admin, organization_id, worker):
    configuration_id = add_configuration(admin, organization_id, tests=[])
    run_id = add_run(admin, organization_id, configuration_id)
    error = {
        "exc_type": "PermanentError",
        "exc_module": "workerapp.base",
        "exc_message": ["The test set has no tests."],
    }
    worker.execute("UPDATE task SET state = 'FAILURE', error = %s WHERE test_run_id = %s", (Jsonb(error), run_id))
    row = worker.execute("SELECT status, reason FROM test_run WHERE id = %s", (run_id,)).fetchone()
    assert row == ("failed", "The test set has no tests.")


def test_a_revoked_task_cancels_its_planned_run(admin, organization_id, worker):
    run = plan(admin, organization_id, tests=2)
    worker.execute("UPDATE task SET state = 'REVOKED' WHERE id = %s", (run.task_id,))
    row = worker.execute("SELECT cancel_requested_at IS NOT NULL, status FROM test_run WHERE id = %s", (run.id,))
    assert row.fetchone() == (True, "running")
    assert worker.execute("SELECT settle_run(%s)", (run.id,)).fetchone() == ("cancelled",)
