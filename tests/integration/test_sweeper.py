"""The sweeper: it settles what is due, revives what was lost, and leaves alone what somebody works on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from billiard.exceptions import WorkerLostError
from celery import chord
from celery.app.task import Context
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import PlannedRun, add_organization, connect, plan
from tests.stack.services import Worker
from tests.waiting import until
from workerapp import sweeper
from workerapp.app import WorkerApp, make_app
from workerapp.db.connection import ROLE
from workerapp.repair import REPAIR, Step, end_lost_tasks
from workerapp.settings import WorkerSettings
from workerapp.sweeper import Sweep, Sweeper


@pytest.fixture
def app(database: TestDatabase) -> Iterator[WorkerApp]:
    app = make_app(WorkerSettings(database_url=database.url, lane_grace_seconds=1, sweep_pause_seconds=0.05))
    app.loader.import_default_modules()
    app.finalize()
    app.set_current()
    yield app
    app.close()
    app.database.engine.dispose()


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


def sweep(app: WorkerApp, connection: psycopg.Connection) -> int:
    return Sweep(app, connection, "here@test").run(REPAIR)


def add_lane(admin: psycopg.Connection, run: PlannedRun, **columns: Any) -> None:
    row = {"task_id": str(uuid4()), "age": "1 hour", "lease": None} | columns
    admin.execute(
        "INSERT INTO lane (test_run_id, number, organization_id, concurrency, task_id, created_at, lease_until)"
        " SELECT %s, count(*), %s, 1, %s, now() - %s::interval, now() + %s::interval FROM lane WHERE test_run_id = %s",
        (run.id, run.organization_id, row["task_id"], row["age"], row["lease"], run.id),
    )


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


def status(admin: psycopg.Connection, run: PlannedRun) -> str:
    row = admin.execute("SELECT status FROM test_run WHERE id = %s", (run.id,)).fetchone()
    assert row is not None
    return str(row[0])


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
        'UPDATE test_configuration c SET spec = \'{"mode": "unheard of"}\' FROM test_run r'
        " WHERE r.test_configuration_id = c.id AND r.id = %s",
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


def sweep_rows(admin: psycopg.Connection) -> dict[str, tuple[Any, ...]]:
    rows = admin.execute("SELECT step, node, done, done_in_all, error FROM sweep_step").fetchall()
    return {row[0]: row[1:] for row in rows}


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


def test_reports_of_workers_that_are_gone_are_removed(app, connection, admin):
    for node in ("dead@test", "live@test"):
        admin.execute("SELECT worker_report(%s, 1, now(), 'prefork', 1, '{}', '[]')", (node,))
    admin.execute("UPDATE worker_heartbeat SET at = now() - interval '1 hour' WHERE node = 'dead@test'")
    assert sweep(app, connection) == 1
    assert admin.execute("SELECT node FROM worker_heartbeat").fetchall() == [("live@test",)]


# ---------------------------------------------------------------- tasks without a message and a worker
def publish(app: WorkerApp, organization_id: UUID, **options: Any) -> str:
    headers = {"organization_id": str(organization_id)}
    return str(app.signature("echo", ("x",)).apply_async(headers=headers, **options).id)


def report(admin: psycopg.Connection, *held: str, node: str = "live@test", queue: str = "celery") -> None:
    """As a worker tells what it has, and which queue it consumes."""
    tasks = Jsonb([{"id": task_id, "name": "echo"} for task_id in held])
    admin.execute("SELECT worker_report(%s, 1, now(), 'prefork', 1, %s, %s)", (node, [queue], tasks))


def lose(admin: psycopg.Connection, task_id: str, state: str = "STARTED") -> None:
    """Its worker acknowledged it early and died, an hour ago."""
    admin.execute("DELETE FROM broker_message WHERE task_id = %s", (task_id,))
    admin.execute(
        "UPDATE task SET state = %s, created_at = now() - interval '1 hour', started_at = CASE WHEN %s <> 'PENDING'"
        " THEN now() - interval '1 hour' END, worker = 'dead@test' WHERE id = %s",
        (state, state, task_id),
    )


def sweep_for_long(app: WorkerApp, connection: psycopg.Connection, admin: psycopg.Connection) -> int:
    """Two sweeps, with more than the time between them after which a task counts as lost."""
    first = sweep(app, connection)
    admin.execute("UPDATE task SET missed_at = missed_at - interval '10 minutes'")
    return first + sweep(app, connection)


@pytest.mark.parametrize("lost_as", ["PENDING", "STARTED", "RETRY"])
def test_a_task_without_a_message_and_a_worker_fails(app, connection, admin, organization_id, lost_as):
    task_id = publish(app, organization_id)
    report(admin)
    lose(admin, task_id, lost_as)
    assert sweep(app, connection) == 0
    assert state(admin, task_id) == lost_as
    assert sweep_for_long(app, connection, admin) == 1
    assert state(admin, task_id) == "FAILURE"
    result = app.AsyncResult(task_id)
    with pytest.raises(WorkerLostError, match=f"The task was {lost_as} and is lost"):
        result.get(timeout=5)
    assert sweep_rows(admin)["end_lost_tasks"] == ("here@test", 1, 1, None)
    assert sweep_for_long(app, connection, admin) == 0


def has_a_message(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    admin.execute(
        "INSERT INTO broker_message (queue, organization_id, rank, visible_at, task_id, message)"
        " SELECT queue, organization_id, 9, now() + interval '1 day', id, '{}' FROM task WHERE id = %s",
        (task_id,),
    )


def is_held(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    report(admin, task_id)


def was_delivered_by_another_broker(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    admin.execute("UPDATE task SET begun = 1 WHERE id = %s", (task_id,))


def forget(admin: psycopg.Connection, task_id: str) -> None:
    admin.execute("DELETE FROM task WHERE id = %s", (task_id,))
    admin.execute("DELETE FROM task_event WHERE subject_id = %s", (task_id,))


def is_of_an_app_that_stores_results_only(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    forget(admin, task_id)
    (organization_id,) = admin.execute("SELECT id FROM organization").fetchone()
    request = Context(id=task_id, organization_id=str(organization_id), hostname="dead@test")
    request.delivery_info = {"routing_key": "celery"}
    app.backend.store_result(task_id, None, "STARTED", request=request)
    admin.execute("UPDATE task SET created_at = now() - interval '1 hour', started_at = now() - interval '1 hour'")


def is_adopted(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    forget(admin, task_id)
    admin.execute(
        "SELECT record_adopted_state(id, 1000, %s, 'STARTED', NULL, NULL, '{\"queue\": \"celery\"}') FROM organization",
        (task_id,),
    )
    admin.execute("UPDATE task SET created_at = now() - interval '1 hour', started_at = now() - interval '1 hour'")


def is_in_a_queue_of_workers_that_do_not_report(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    admin.execute("UPDATE task SET queue = 'others' WHERE id = %s", (task_id,))


def says_something_of_its_own(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    admin.execute("UPDATE task SET state = 'UPLOADING' WHERE id = %s", (task_id,))


def has_just_begun(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    admin.execute("UPDATE task SET started_at = now() WHERE id = %s", (task_id,))


def waits_for_a_chord(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    body = Jsonb({"options": {"task_id": task_id}})
    admin.execute("INSERT INTO chord (group_id, size, body) VALUES ('open', 2, %s)", (body,))


def waits_for_a_task_of_its_workflow(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    (organization_id,) = admin.execute("SELECT id FROM organization").fetchone()
    publish(app, organization_id, root_id=task_id)


def is_of_a_run_that_gets_new_lanes(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    (organization_id,) = admin.execute("SELECT id FROM organization").fetchone()
    run = plan(admin, organization_id, 1)
    add_lane(admin, run, lease="1 minute")
    admin.execute("UPDATE task SET test_run_id = %s WHERE id = %s", (run.id, task_id))


@pytest.mark.parametrize(
    "exempt",
    [
        has_a_message,
        is_held,
        was_delivered_by_another_broker,
        is_of_an_app_that_stores_results_only,
        is_adopted,
        is_in_a_queue_of_workers_that_do_not_report,
        says_something_of_its_own,
        has_just_begun,
        waits_for_a_chord,
        waits_for_a_task_of_its_workflow,
        is_of_a_run_that_gets_new_lanes,
    ],
)
def test_a_task_is_left_alone_that(app, connection, admin, organization_id, exempt):
    task_id = publish(app, organization_id)
    report(admin)
    lose(admin, task_id)
    exempt(app, admin, task_id)
    before = state(admin, task_id)
    assert sweep_for_long(app, connection, admin) == 0
    assert state(admin, task_id) == before


def test_a_task_that_was_missed_and_began_again_is_missed_anew(app, connection, admin, organization_id):
    task_id = publish(app, organization_id)
    report(admin)
    lose(admin, task_id)
    sweep(app, connection)
    admin.execute(
        "UPDATE task SET missed_at = now() - interval '20 minutes', started_at = now() - interval '10 minutes'"
    )
    assert sweep(app, connection) == 0
    assert state(admin, task_id) == "STARTED"
    assert admin.execute("SELECT missed_at > now() - interval '1 minute' FROM task").fetchone() == (True,)


def test_tasks_of_a_workflow_that_are_all_lost_fail_together(app, connection, admin, organization_id):
    first = publish(app, organization_id)
    second = publish(app, organization_id, root_id=first)
    report(admin)
    for task_id in (first, second):
        lose(admin, task_id)
    assert sweep_for_long(app, connection, admin) == 2
    assert [state(admin, task_id) for task_id in (first, second)] == ["FAILURE", "FAILURE"]


def test_a_run_whose_submitted_task_is_lost_before_it_was_planned_fails(app, connection, admin, organization_id):
    task_id = publish(app, organization_id)
    run = plan(admin, organization_id, 1)
    admin.execute("DELETE FROM test_result")
    admin.execute("UPDATE test_run SET planned = NULL, status = 'queued', task_id = %s", (task_id,))
    admin.execute("UPDATE task SET test_run_id = %s WHERE id = %s", (run.id, task_id))
    report(admin)
    lose(admin, task_id)
    assert sweep_for_long(app, connection, admin) == 1
    assert (state(admin, task_id), status(admin, run)) == ("FAILURE", "failed")


def test_a_chord_whose_member_is_lost_ends(app, connection, admin, chord_in_queue: Chord, organization_id):
    lost, other = chord_in_queue.members
    report(admin)
    finish(app, organization_id, chord_in_queue, other)
    lose(admin, lost)
    assert sweep_for_long(app, connection, admin) == 1
    admin.execute("UPDATE task SET finished_at = now() - interval '1 minute' WHERE id = %s", (lost,))
    assert sweep(app, connection) == 1
    assert state(admin, chord_in_queue.body) == "FAILURE"


def test_tasks_are_not_ended_where_another_broker_carries_them(database, connection, admin, organization_id):
    app = make_app(WorkerSettings(database_url=database.url, broker_url="amqp://guest@127.0.0.1:1//"))
    report(admin)
    admin.execute(
        "INSERT INTO task (id, organization_id, queue, enqueued, created_at, missed_at)"
        " VALUES ('t', %s, 'celery', true, '2020-01-01', '2020-01-02')",
        (organization_id,),
    )
    assert end_lost_tasks(app, connection) == 0
    assert state(admin, "t") == "PENDING"
    app.close()


def test_a_task_whose_worker_is_killed_after_it_acknowledged_early_fails(
    database: TestDatabase, admin: psycopg.Connection, app: WorkerApp, organization_id: UUID
) -> None:
    environment = {"GATEWAY_LOST_TASK_SECONDS": "1"}
    with Worker(database, concurrency=1, environment=environment) as worker:
        task_id = str(
            app.send_task("tests.hold_carelessly", (60,), headers={"organization_id": str(organization_id)}).id
        )
        until(lambda: state(admin, task_id) == "STARTED")
        until(lambda: admin.execute("SELECT FROM broker_message WHERE task_id = %s", (task_id,)).rowcount == 0)
        worker.kill()
    admin.execute("UPDATE worker_heartbeat SET at = now() - interval '1 hour' WHERE node = %s", (worker.name,))
    with Worker(database, concurrency=1, environment=environment) as other:
        until(lambda: state(admin, task_id) == "FAILURE")
        assert len(other.lines(f"task_lost.*{task_id}")) == 1


@dataclass(frozen=True)
class Chord:
    """A chord of two in the queue: the ids of its members and of its body."""

    group_id: str
    members: tuple[str, ...]
    body: str


@pytest.fixture
def chord_in_queue(app: WorkerApp, organization_id: UUID) -> Chord:
    result = chord([app.signature("echo", (n,)) for n in range(2)], app.signature("echo")).apply_async(
        headers={"organization_id": str(organization_id)}
    )
    return Chord(result.parent.id, tuple(member.id for member in result.parent.results), result.id)


def state(admin: psycopg.Connection, task_id: str) -> str | None:
    row = admin.execute("SELECT state FROM task WHERE id = %s", (task_id,)).fetchone()
    return None if row is None else str(row[0])


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


def finish(app: WorkerApp, organization_id: UUID, of: Chord, member: str) -> None:
    """As a worker does that has executed a member."""
    place = of.members.index(member)
    request = Context(
        id=member, group=of.group_id, group_index=place, chord={"task": "echo"}, organization_id=str(organization_id)
    )
    request.chord = app.backend.decode(read_body(app, of.group_id))
    app.backend.mark_as_done(member, place, request=request)


def read_body(app: WorkerApp, group_id: str) -> str:
    with connect(app.settings.database_url, role=ROLE) as worker:
        row = worker.execute("SELECT body::text FROM read_chord(%s)", (group_id,)).fetchone()
    assert row is not None
    return str(row[0])


def test_a_killed_sweeper_is_replaced_by_another_worker(database: TestDatabase, admin: psycopg.Connection) -> None:
    with Worker(database, concurrency=1) as one, Worker(database, concurrency=1) as two:
        sweeping = until(lambda: sweep_rows(admin).get("settle_runs", (None,))[0])
        dead, alive = (one, two) if sweeping == one.name else (two, one)
        dead.kill()
        run = plan(admin, add_organization(admin), 2)
        admin.execute("UPDATE test_result SET status = 'pass' WHERE test_run_id = %s", (run.id,))
        until(lambda: status(admin, run) == "completed")
        until(lambda: sweep_rows(admin)["settle_runs"][:3:2] == (alive.name, 1))
        assert len(alive.lines(f"run_settled_late.*{run.id}")) == 1
