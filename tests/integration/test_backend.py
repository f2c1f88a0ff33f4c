"""The result backend with a real worker: states and their events, tenants, chords that join once, failures that end."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from celery import chain, chord, group
from celery.app.task import Context
from celery.canvas import Signature
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import add_organization, connect
from tests.stack import extra_tasks as extra
from tests.stack.services import Worker
from tests.waiting import ended_task, until
from workerapp.app import WorkerApp, make_app
from workerapp.settings import WorkerSettings

NOBODY = "a-queue-without-consumers"


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    with Worker(module_database) as running:
        yield running


@pytest.fixture(scope="module")
def app(module_database: TestDatabase) -> Iterator[WorkerApp]:
    app = make_app(WorkerSettings(database_url=module_database.url))
    app.set_current()
    yield app
    app.close()


@pytest.fixture
def admin(module_database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(module_database.admin_url) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


@pytest.fixture
def submit(app: WorkerApp, organization_id: UUID):
    def publish(signature: Signature, **options: Any) -> str:
        return str(signature.apply_async(headers={"organization_id": str(organization_id)}, **options).id)

    return publish


def column(admin: psycopg.Connection, task_id: str, name: str) -> Any:
    row = admin.execute(f"SELECT {name} FROM task WHERE id = %s".encode(), (task_id,)).fetchone()
    assert row is not None
    return row[0]


def events(admin: psycopg.Connection, subject: str) -> list[str]:
    rows = admin.execute("SELECT seq, type FROM task_event WHERE subject_id = %s ORDER BY id", (subject,)).fetchall()
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    return [kind.removeprefix("task.") for _, kind in rows]


def tasks_named(admin: psycopg.Connection, name: str, organization_id: UUID) -> list[str]:
    rows = admin.execute("SELECT id FROM task WHERE name = %s AND organization_id = %s", (name, organization_id))
    return [row[0] for row in rows.fetchall()]


def done(admin: psycopg.Connection, name: str, organization_id: UUID) -> int:
    ended = [task_id for task_id in tasks_named(admin, name, organization_id) if column(admin, task_id, "finished_at")]
    return len(ended)


def test_a_task_has_a_row_and_an_event_from_the_moment_it_is_published(submit, admin):
    task_id = submit(extra.add.s(1, 2), queue=NOBODY)
    assert column(admin, task_id, "state") == "PENDING"
    assert column(admin, task_id, "queue") == NOBODY
    assert events(admin, task_id) == ["pending"]


def test_a_task_that_succeeds_leaves_its_result_and_three_events(submit, admin, worker):
    task_id = submit(extra.add.s(1, 2))
    assert ended_task(admin, task_id) == "SUCCESS"
    assert column(admin, task_id, "result") == 3
    assert column(admin, task_id, "worker") == worker.name
    assert column(admin, task_id, "started_at <= finished_at") is True
    assert events(admin, task_id) == ["pending", "started", "succeeded"]


def test_a_permanent_failure_is_not_tried_again(submit, admin, worker):
    task_id = submit(extra.fail.s("the configuration is gone"))
    assert ended_task(admin, task_id) == "FAILURE"
    assert column(admin, task_id, "task_error_message(error)") == "the configuration is gone"
    assert column(admin, task_id, "error->>'exc_type'") == "PermanentError"
    assert "PermanentError" in column(admin, task_id, "traceback")
    assert events(admin, task_id) == ["pending", "started", "failed"]


def test_every_retry_is_told_and_counted(submit, admin, worker):
    task_id = submit(extra.fail_then_succeed.s(2))
    assert ended_task(admin, task_id) == "SUCCESS"
    assert column(admin, task_id, "result") == 2
    assert column(admin, task_id, "retries") == 2
    assert column(admin, task_id, "error") is None
    assert events(admin, task_id) == ["pending", *["started", "retry"] * 2, "started", "succeeded"]


def test_a_task_fails_when_its_retries_are_used_up(submit, admin, worker):
    task_id = submit(extra.fail_then_succeed.s(99))
    assert ended_task(admin, task_id) == "FAILURE"
    assert column(admin, task_id, "retries") == 3
    assert column(admin, task_id, "task_error_message(error)") == "failure 4"


def test_celerys_own_way_to_read_a_result_works(submit, app, worker):
    result = app.AsyncResult(submit(extra.give.s({"deep": [1, None, "ä"]})))
    assert result.get(timeout=15, interval=0.02) == {"deep": [1, None, "ä"]}
    assert result.status == "SUCCESS"
    failed = app.AsyncResult(submit(extra.fail.s("no")))
    with pytest.raises(Exception, match="no") as caught:
        failed.get(timeout=15, interval=0.02)
    assert type(caught.value).__name__ == "PermanentError"


def test_the_garbage_collector_passes_over_what_a_process_has_from_its_worker(submit, admin, worker):
    task_id = submit(extra.count_spared.s())
    assert ended_task(admin, task_id) == "SUCCESS"
    assert column(admin, task_id, "result") > 100_000


def test_an_unknown_task_reads_as_pending_as_everywhere_in_celery(app):
    assert app.AsyncResult(str(uuid4())).status == "PENDING"


def test_a_result_that_jsonb_cannot_hold_fails_its_task(submit, admin, worker):
    task_id = submit(extra.give_character.s(0))
    assert ended_task(admin, task_id) == "FAILURE"
    assert "cannot be stored as JSON" in column(admin, task_id, "task_error_message(error)")


def test_a_final_state_stays(submit, admin, app, organization_id, worker):
    task_id = submit(extra.add.s(1, 1))
    ended_task(admin, task_id)
    request = Context(organization_id=str(organization_id))
    app.backend.store_result(task_id, None, "STARTED", request=request)
    app.backend.store_result(task_id, ValueError("late"), "FAILURE", request=request)
    assert column(admin, task_id, "state") == "SUCCESS"
    assert column(admin, task_id, "result") == 2
    assert events(admin, task_id) == ["pending", "started", "succeeded"]


def test_a_state_for_another_organizations_task_is_refused(submit, admin, app, caplog):
    task_id = submit(extra.add.s(1, 1), queue=NOBODY)
    stranger = add_organization(admin)
    with caplog.at_level(logging.ERROR, logger="workerapp.backend"):
        app.backend.store_result(task_id, 666, "SUCCESS", request=Context(organization_id=str(stranger)))
        app.backend.store_result(task_id, 666, "SUCCESS", request=Context())
    assert [record.message for record in caplog.records] == ["task_state_refused"] * 2
    assert column(admin, task_id, "state") == "PENDING"
    assert events(admin, task_id) == ["pending"]


def test_another_organizations_task_id_cannot_be_published_again(submit, admin, app):
    task_id = submit(extra.add.s(1, 1), queue=NOBODY)
    stranger = str(add_organization(admin))
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="another organization"):
        extra.add.s(1, 1).apply_async(task_id=task_id, headers={"organization_id": stranger}, queue=NOBODY)


def test_a_chord_fires_its_body_once_and_keeps_the_order_of_its_header(submit, admin, organization_id, worker):
    body_id = submit(chord([extra.add.s(n, n) for n in range(10)], extra.collect.s()))
    assert ended_task(admin, body_id) == "SUCCESS"
    assert column(admin, body_id, "result") == {"parts": [2 * n for n in range(10)]}
    assert tasks_named(admin, "tests.collect", organization_id) == [body_id]
    assert events(admin, body_id) == ["pending", "started", "succeeded"]
    worker.wait_for(rf"tests.collect\[{body_id}\] received")
    assert len(worker.lines(rf"tests.collect\[{body_id}\] received")) == 1
    assert tasks_named(admin, "celery.chord_unlock", organization_id) == []
    assert not worker.lines("chord_unlock")


def test_a_part_that_is_delivered_again_counts_once(submit, admin, organization_id, worker):
    header = [extra.add.s(n, n).set(queue=NOBODY) for n in range(3)]
    body_id = submit(chord(header, extra.collect.s()))
    messages = waiting_messages(admin, organization_id)
    assert len(messages) == 3
    deliver(admin, organization_id, messages[0], times=4)
    until(lambda: executions(worker, messages[0]) == 4)
    assert admin.execute("SELECT count(*) FROM task WHERE id = %s", (body_id,)).fetchone() == (0,)
    for message in messages[1:]:
        deliver(admin, organization_id, message, times=2)
    assert ended_task(admin, body_id) == "SUCCESS"
    for message in messages[1:]:
        until(lambda m=message: executions(worker, m) == 2)
    assert column(admin, body_id, "result") == {"parts": [0, 2, 4]}
    worker.wait_for(rf"tests.collect\[{body_id}\] received")
    assert len(worker.lines(rf"tests.collect\[{body_id}\] received")) == 1
    assert events(admin, messages[0]["headers"]["id"]) == ["pending", "started", "succeeded"]


def test_a_failed_part_fails_the_body_and_calls_its_errbacks(submit, admin, organization_id, worker):
    body = extra.collect.s().on_error(extra.note_error.s())
    body_id = submit(chord([extra.add.s(1, 1), extra.fail.s("broken part")], body))
    assert ended_task(admin, body_id) == "FAILURE"
    assert "broken part" in column(admin, body_id, "task_error_message(error)")
    (errback,) = until(lambda: tasks_named(admin, "tests.note_error", organization_id))
    assert ended_task(admin, errback) == "SUCCESS"
    assert not worker.lines(rf"tests.collect\[{body_id}\] received")


def test_a_body_that_joins_failures_runs_and_gets_none_for_the_lost_part(submit, admin, worker):
    task_id = submit(extra.become_tolerant_chord.s())
    assert ended_task(admin, task_id) == "SUCCESS"
    assert column(admin, task_id, "result") == {"parts": [2, None, 4]}


def test_a_chord_of_groups_joins_every_part(submit, admin, worker):
    header = [group(extra.add.s(1, 1), extra.add.s(2, 2)), extra.add.s(3, 3)]
    body_id = submit(chord(header, extra.collect.s()))
    assert ended_task(admin, body_id) == "SUCCESS"
    assert sorted(column(admin, body_id, "result")["parts"]) == [2, 4, 6]


def test_a_chord_in_a_chain_hands_its_result_on(submit, admin, worker):
    body = chord([extra.add.s(n, n) for n in range(3)], extra.collect.s())
    last_id = submit(chain(body, extra.give.s()))
    assert ended_task(admin, last_id) == "SUCCESS"
    assert column(admin, last_id, "result") == {"parts": [0, 2, 4]}


def test_a_task_that_becomes_a_chord_keeps_its_id_until_the_body_ends(submit, admin, organization_id, worker):
    task_id = submit(extra.become_chord.s(5))
    assert ended_task(admin, task_id) == "SUCCESS"
    assert column(admin, task_id, "result") == {"parts": [0, 2, 4, 6, 8]}
    assert events(admin, task_id)[0] == "pending"
    assert events(admin, task_id)[-1] == "succeeded"
    assert len(tasks_named(admin, "tests.add", organization_id)) == 5


def test_a_chord_outlives_the_child_that_works_on_it(submit, admin, organization_id, worker):
    body_id = submit(chord([extra.hold.s(0.1) for _ in range(12)], extra.collect.s()))
    until(lambda: done(admin, "tests.hold", organization_id) >= 2)
    os.kill(worker.children()[0], signal.SIGKILL)
    assert ended_task(admin, body_id) == "SUCCESS"
    assert column(admin, body_id, "result") == {"parts": ["held"] * 12}
    worker.wait_for(rf"tests.collect\[{body_id}\] received")
    assert len(worker.lines(rf"tests.collect\[{body_id}\] received")) == 1


def test_states_are_written_after_every_connection_was_lost(submit, admin, worker):
    task_id = submit(extra.hold.s(0.5))
    until(lambda: column(admin, task_id, "state") == "STARTED")
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert ended_task(admin, task_id) == "SUCCESS"
    assert ended_task(admin, submit(extra.add.s(1, 1))) == "SUCCESS"


def waiting_messages(admin: psycopg.Connection, organization_id: UUID) -> list[dict[str, Any]]:
    rows = admin.execute(
        "SELECT message FROM broker_message WHERE queue = %s AND organization_id = %s ORDER BY id",
        (NOBODY, organization_id),
    )
    return [row[0] for row in rows.fetchall()]


def executions(worker: Worker, message: dict[str, Any]) -> int:
    return len(worker.lines(f"task_succeeded .*{message['headers']['id']}"))


def deliver(admin: psycopg.Connection, organization_id: UUID, message: dict[str, Any], times: int) -> None:
    for _ in range(times):
        admin.execute("SELECT broker_publish('celery', %s)", (Jsonb(message),))
