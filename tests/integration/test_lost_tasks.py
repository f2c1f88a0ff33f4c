"""Tasks that nobody would ever end: the sweeper does, and leaves alone what it cannot know to be lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from billiard.exceptions import WorkerLostError
from celery.app.task import Context
from psycopg.types.json import Jsonb

from tests.integration.sweeping import (
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
from tests.records import add_organization, connect, plan, plan_group
from tests.stack.services import Worker
from tests.waiting import until
from workerapp.app import WorkerApp, make_app
from workerapp.db.connection import ROLE
from workerapp.repair import end_lost_tasks
from workerapp.settings import WorkerSettings


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


def is_of_a_group_whose_runs_go_on(app: WorkerApp, admin: psycopg.Connection, task_id: str) -> None:
    (organization_id,) = admin.execute("SELECT id FROM organization").fetchone()
    group = plan_group(admin, organization_id, runs=1, tests=1)
    add_lane(admin, group.runs[0], lease="1 minute")
    admin.execute("UPDATE task SET run_group_id = %s WHERE id = %s", (group.id, task_id))


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
        is_of_a_group_whose_runs_go_on,
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


def test_a_chord_whose_member_is_lost_ends(app, connection, admin, organization_id):
    chord_in_queue = publish_chord(app, organization_id)
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
        other.wait_for(f"task_lost.*{task_id}")
        assert len(other.lines(f"task_lost.*{task_id}")) == 1
