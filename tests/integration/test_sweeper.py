"""The sweeper: it settles what is due, revives what was lost, and leaves alone what somebody works on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from prometheus_client import generate_latest
from psycopg.types.json import Jsonb

from tests.exposition import read
from tests.integration.sweeping import (
    Chord,
    add_lane,
    finish,
    publish_chord,
    state,
    status,
    sweep,
    sweep_rows,
    sweeping_app,
)
from tests.postgres import TestDatabase
from tests.records import PlannedRun, add_organization, connect, plan, plan_group
from tests.stack.services import Worker
from tests.waiting import until
from tests.webhooks import deliveries, queue, subscribe
from workerapp import sweeper
from workerapp.app import WorkerApp
from workerapp.db.connection import ROLE
from workerapp.repair import REPAIR, Step
from workerapp.sweeper import Sweep, Sweeper


@pytest.fixture
def app(database: TestDatabase) -> Iterator[WorkerApp]:
    with sweeping_app(database) as app:
        yield app


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[psycopg.Connection]:
    """As the sweeper connects: for no organization."""
    with connect(database.url, role=ROLE) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


def lanes(admin: psycopg.Connection, run: PlannedRun) -> int:
    row = admin.execute("SELECT count(*) FROM lane WHERE test_run_id = %s", (run.id,)).fetchone()
    assert row is not None
    return int(row[0])


def messages(admin: psycopg.Connection, run: PlannedRun) -> list[str]:
    rows = admin.execute(
        "SELECT m.message->'headers'->>'task' FROM broker_message m JOIN lane l ON l.task_id = m.task_id"
        " JOIN task t ON t.id = l.task_id AND t.organization_id = l.organization_id AND t.test_run_id = l.test_run_id"
        " WHERE l.test_run_id = %s",
        (run.id,),
    )
    return [row[0] for row in rows.fetchall()]


def test_a_run_whose_lanes_are_gone_gets_new_ones(app, connection, admin, organization_id):
    run = plan(admin, organization_id, 3)
    assert sweep(app, connection) == 1
    assert messages(admin, run) == ["run_lane"]
    assert sweep(app, connection) == 0
    assert lanes(admin, run) == 1


def test_a_run_whose_only_lane_died_gets_a_new_one(app, connection, admin, organization_id):
    run = plan(admin, organization_id, 3)
    add_lane(admin, run, lease="-1 minute")
    assert sweep(app, connection) == 1
    assert lanes(admin, run) == 2
    assert messages(admin, run) == ["run_lane"]


def test_a_run_with_a_lane_at_work_is_left_alone(app, connection, admin, organization_id):
    run = plan(admin, organization_id, 3)
    add_lane(admin, run, lease="1 minute")
    add_lane(admin, run, lease="-1 minute")
    assert sweep(app, connection) == 0
    assert lanes(admin, run) == 2


def test_a_run_whose_lane_waits_in_the_queue_is_left_alone(app, connection, admin, organization_id):
    run = plan(admin, organization_id, 3)
    task_id = str(uuid4())
    add_lane(admin, run, task_id=task_id)
    headers = {"id": task_id, "task": "run_lane", "organization_id": str(organization_id)}
    admin.execute("SELECT broker_publish('celery', %s)", (Jsonb({"headers": headers, "properties": {}}),))
    assert sweep(app, connection) == 0
    assert lanes(admin, run) == 1


def test_a_run_without_pending_tests_is_settled(app, connection, admin, organization_id):
    run = plan(admin, organization_id, 2)
    admin.execute("UPDATE test_result SET status = 'pass' WHERE test_run_id = %s", (run.id,))
    assert status(admin, run) == "running"
    assert sweep(app, connection) == 1
    assert status(admin, run) == "completed"
    assert sweep(app, connection) == 0


def test_a_group_whose_runs_have_ended_is_settled_after_the_grace(app, connection, admin, organization_id):
    group = plan_group(admin, organization_id, runs=2, tests=1)
    admin.execute("UPDATE test_result SET status = 'pass'")
    assert sweep(app, connection) == 2
    ended = admin.execute("SELECT count(*) FROM test_run WHERE finished_at IS NOT NULL").fetchone()
    settled = "SELECT status, comparison->>'tests' FROM run_group"
    assert (ended, admin.execute(settled).fetchone()) == ((2,), ("running", None))
    admin.execute("UPDATE test_run SET finished_at = now() - interval '1 minute'")
    assert sweep(app, connection) == 1
    assert (admin.execute(settled).fetchone(), state(admin, group.task_id)) == (("completed", "1"), "SUCCESS")
    assert sweep(app, connection) == 0


def test_a_group_is_left_alone_while_one_of_its_runs_goes_on(app, connection, admin, organization_id):
    group = plan_group(admin, organization_id, runs=2, tests=1)
    add_lane(admin, group.runs[1], lease="1 minute")
    admin.execute("UPDATE test_run SET finished_at = now() - interval '1 hour' WHERE id = %s", (group.runs[0].id,))
    assert sweep(app, connection) == 0


def test_a_run_past_its_deadline_is_settled_with_errors(app, connection, admin, organization_id):
    run = plan(admin, organization_id, 2, deadline_at="2020-01-01")
    add_lane(admin, run, lease="1 minute")
    assert sweep(app, connection) == 1
    assert status(admin, run) == "failed"
    rows = admin.execute("SELECT status, error->>'code' FROM test_result WHERE test_run_id = %s", (run.id,)).fetchall()
    assert rows == [("error", "deadline")] * 2


def test_a_cancelled_run_that_no_lane_stops_is_settled_after_the_grace(app, connection, admin, organization_id):
    run = plan(admin, organization_id, 2)
    add_lane(admin, run, lease="1 minute")
    admin.execute("UPDATE test_run SET cancel_requested_at = now() WHERE id = %s", (run.id,))
    assert sweep(app, connection) == 0
    admin.execute("UPDATE test_run SET cancel_requested_at = now() - interval '1 minute' WHERE id = %s", (run.id,))
    assert sweep(app, connection) == 1
    assert status(admin, run) == "cancelled"


def test_a_run_that_cannot_be_repaired_does_not_stop_the_others(app, connection, admin, organization_id, caplog):
    broken, healthy = plan(admin, organization_id, 2), plan(admin, add_organization(admin), 2)
    admin.execute(
        "UPDATE test_run SET snapshot = jsonb_set(snapshot, '{configuration,mode}', '\"unheard of\"') WHERE id = %s",
        (broken.id,),
    )
    with caplog.at_level(logging.WARNING, logger="workerapp.repair"):
        sweep(app, connection)
    told = {record.message: record.test_run_id for record in caplog.records}  # type: ignore[attr-defined]
    assert told == {"not_repaired": str(broken.id), "run_revived": str(healthy.id)}
    assert messages(admin, healthy) == ["run_lane"]


def test_queues_of_nodes_that_are_gone_are_removed(app, connection, admin):
    admin.execute("SELECT broker_bind('celery.pidbox', 'fanout', '', '', 'dead@node', true)")
    admin.execute("SELECT broker_bind('celery.pidbox', 'fanout', '', '', 'live@node', true)")
    admin.execute("UPDATE broker_binding SET alive_at = now() - interval '1 hour' WHERE queue = 'dead@node'")
    sweep(app, connection)
    assert admin.execute("SELECT queue FROM broker_binding").fetchall() == [("live@node",)]


def test_what_still_waits_for_a_webhook_that_is_disabled_is_skipped(app, connection, admin, organization_id):
    subscription = subscribe(admin, organization_id, "http://127.0.0.1:9/", disabled_at="now", disabled_reason="gone")
    queue(admin, subscription, 3)
    queue(admin, subscribe(admin, organization_id, "http://127.0.0.1:9/"), 2)
    assert sweep(app, connection) == 3
    assert sorted(delivery["status"] for delivery in deliveries(admin)) == ["pending"] * 2 + ["skipped"] * 3
    assert sweep(app, connection) == 0


def test_one_sweeps_at_a_time_and_another_takes_over(app, admin, organization_id):
    with connect(app.settings.database_url, role=ROLE) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (sweeper.SWEEP_LOCK,))
        waiting = Sweeper(app, "here@test")
        waiting.start()
        run = plan(admin, organization_id, 1)
        until_waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sweeper' AND state = 'idle'"
        until(lambda: admin.execute(until_waiting).fetchone() == (1,))
        assert lanes(admin, run) == 0
    until(lambda: lanes(admin, run) == 1)
    waiting.stop()
    waiting.join(5)
    assert not waiting.is_alive()


def test_what_each_step_did_is_counted(app, connection, admin, organization_id):
    plan(admin, organization_id, 3)
    sweep(app, connection)
    assert sweep_rows(admin) == {
        step.name: ("here@test", int(step.name == "revive_runs"), int(step.name == "revive_runs"), None)
        for step in REPAIR
    }
    sweep(app, connection)
    assert sweep_rows(admin)["revive_runs"] == ("here@test", 0, 1, None)


def test_a_step_that_fails_is_told_and_holds_up_no_other(app, connection, admin):
    def fail(*_: object) -> int:
        raise RuntimeError("out of order")

    steps = (Step("broken", fail), Step("fine", lambda *_: 2))
    assert Sweep(app, connection, "here@test").run(steps) == 2
    assert sweep_rows(admin) == {
        "broken": ("here@test", 0, 0, "RuntimeError: out of order"),
        "fine": ("here@test", 2, 2, None),
    }
    told = read(generate_latest(app.metrics.registry).decode())
    assert told["gateway_sweeper_repaired_total fine"] == 2
    assert (told["gateway_sweeper_repaired_total broken"], told["gateway_sweeper_failures_total broken"]) == (0, 1)
    assert told["gateway_sweeper_step_duration_seconds_count broken"] == 1
    assert told["gateway_sweeper_failures_total settle_runs"] == 0, "it is there before it moves"


def test_reports_of_workers_that_are_gone_are_removed(app, connection, admin):
    for node in ("dead@test", "live@test"):
        admin.execute("SELECT worker_report(%s, 1, now(), 'prefork', 1, '{}', '[]')", (node,))
    admin.execute("UPDATE worker_heartbeat SET at = now() - interval '1 hour' WHERE node = 'dead@test'")
    assert sweep(app, connection) == 1
    assert admin.execute("SELECT node FROM worker_heartbeat").fetchall() == [("live@test",)]


@pytest.fixture
def chord_in_queue(app: WorkerApp, organization_id: UUID) -> Chord:
    return publish_chord(app, organization_id)


def test_a_chord_whose_member_was_revoked_in_the_queue_ends(
    app, connection, admin, chord_in_queue: Chord, organization_id
):
    first, second = chord_in_queue.members
    admin.execute("SELECT admin_end_task(%s, false)", (first,))
    finish(app, organization_id, chord_in_queue, second)
    assert state(admin, chord_in_queue.body) is None
    admin.execute("UPDATE task SET finished_at = now() - interval '1 minute' WHERE id = %s", (first,))
    assert sweep(app, connection) == 1
    assert state(admin, chord_in_queue.body) == "FAILURE"
    ((kind, message),) = admin.execute(
        "SELECT error->>'exc_type', error->>'exc_message' FROM task WHERE id = %s", (chord_in_queue.body,)
    ).fetchall()
    assert (kind, "TaskRevokedError" in message) == ("ChordError", True)
    assert sweep(app, connection) == 0


def test_a_body_that_was_lost_is_sent_again_once(app, connection, admin, chord_in_queue: Chord, organization_id):
    for member in chord_in_queue.members:
        finish(app, organization_id, chord_in_queue, member)
    assert state(admin, chord_in_queue.body) == "PENDING"
    assert sweep(app, connection) == 0
    admin.execute("UPDATE chord SET fired_at = now() - interval '1 minute'")
    assert sweep(app, connection) == 0
    admin.execute("DELETE FROM broker_message WHERE task_id = %s", (chord_in_queue.body,))
    assert sweep(app, connection) == 1
    assert sweep(app, connection) == 0
    rows = admin.execute("SELECT organization_id FROM broker_message WHERE task_id = %s", (chord_in_queue.body,))
    assert rows.fetchall() == [(organization_id,)]


def test_a_killed_sweeper_is_replaced_by_another_worker(database: TestDatabase, admin: psycopg.Connection) -> None:
    with Worker(database, concurrency=1) as one, Worker(database, concurrency=1) as two:
        sweeping = until(lambda: sweep_rows(admin).get("settle_runs", (None,))[0])
        dead, alive = (one, two) if sweeping == one.name else (two, one)
        dead.kill()
        run = plan(admin, add_organization(admin), 2)
        admin.execute("UPDATE test_result SET status = 'pass' WHERE test_run_id = %s", (run.id,))
        until(lambda: status(admin, run) == "completed")
        until(lambda: sweep_rows(admin)["settle_runs"][:3:2] == (alive.name, 1))
        settled_late = f"run_settled_late.*{run.id}"
        alive.wait_for(settled_late)
        assert len(alive.lines(settled_late)) == 1
