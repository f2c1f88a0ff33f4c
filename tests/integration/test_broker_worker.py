"""Real Celery workers on the queue: killed, stopped, cut off, inspected."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from celery import Celery

from tests.integration.queues import Queues, QueueWorker, opened, queues
from tests.postgres import TestDatabase
from tests.waiting import until

QUEUE = "celery"


@pytest.fixture
def queue(database: TestDatabase) -> Iterator[Queues]:
    with queues(database) as opened_queues:
        yield opened_queues


@pytest.fixture
def app(queue: Queues) -> Iterator[Celery]:
    """A client that knows the tasks by name only."""
    client = Celery("client", broker=queue.database.url, set_as_current=False)
    client.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
    with client.connection_for_write() as connection:
        opened(connection)
        yield client
    client.close()


def send(app: Celery, task: str, *arguments: Any, **options: Any) -> str:
    return str(app.send_task(f"tests.integration.queue_app.{task}", args=arguments, **options).id)


def left(queue: Queues) -> int:
    return len(queue.rows("id", queue=QUEUE))


def test_task_runs_once_and_leaves_nothing(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "2"):
        for n in range(50):
            send(app, "say", f"{n}")
        until(lambda: left(queue) == 0 and len(queue.notes()) >= 50)
    assert sorted(queue.notes(), key=int) == [f"{n}" for n in range(50)]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_other_pools_work_too(queue: Queues, app: Celery, pool: str) -> None:
    with QueueWorker(queue.database, "-c", "2", "-P", pool):
        for n in range(20):
            send(app, "say", f"{n}")
        until(lambda: left(queue) == 0 and len(queue.notes()) == 20)


def test_countdown_waits_in_the_database_and_then_runs(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1"):
        due = datetime.now(UTC) + timedelta(seconds=1.5)
        send(app, "say", "due", eta=due)
        send(app, "say", "now")
        queue.until_noted("now")
        until(lambda: queue.rows("leased_by", queue=QUEUE) == [(None,)], seconds=1)
        queue.until_noted("due")
        assert datetime.now(UTC) >= due


def test_killed_workers_tasks_come_back_marked_as_redelivered(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_VISIBILITY="2") as first:
        send(app, "wait", "gate")
        queue.until_noted("begun gate")
        first.kill()
        queue.note("open gate")
        with QueueWorker(queue.database, "-c", "1", QUEUE_VISIBILITY="2"):
            queue.until_noted("begun gate again", "done gate")
            until(lambda: left(queue) == 0)


def test_task_longer_than_its_visibility_runs_once(queue: Queues, app: Celery) -> None:
    short = {"QUEUE_VISIBILITY": "1", "QUEUE_PREFETCH": "1"}
    with QueueWorker(queue.database, "-c", "1", **short), QueueWorker(queue.database, "-c", "1", **short):
        send(app, "wait", "gate")
        queue.until_noted("begun gate")
        began = queue.rows("visible_at", queue=QUEUE)[0][0]
        until(lambda: queue.rows("visible_at", queue=QUEUE)[0][0] > began + timedelta(seconds=3))
        queue.note("open gate")
        until(lambda: left(queue) == 0)
    assert queue.notes() == ["begun gate", "open gate", "done gate"]


def test_stopping_worker_hands_back_what_it_has_not_begun(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_PREFETCH="4") as worker:
        send(app, "wait", "gate")
        queue.until_noted("begun gate")
        for n in range(3):
            send(app, "say", f"{n}")
        until(lambda: sum(lease is not None for (lease,) in queue.rows("leased_by", queue=QUEUE)) == 4)
        os.kill(worker.pid, signal.SIGTERM)
        worker.wait_for("Warm shutdown")
        queue.note("open gate")
        until(lambda: queue.rows("leased_by, read_count", queue=QUEUE) == [(None, 0)] * 3)
    assert queue.notes() == ["begun gate", "open gate", "done gate"]


def test_worker_goes_on_when_its_sessions_are_ended(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_PREFETCH="1"):
        send(app, "wait", "gate")
        queue.until_noted("begun gate")
        assert queue.end_sessions() >= 3
        send(app, "say", "after")
        queue.note("open gate")
        queue.until_noted("after")
        until(lambda: left(queue) == 0)
    assert queue.notes() == ["begun gate", "open gate", "done gate", "after"]


def test_remote_control_reaches_every_worker(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1") as one, QueueWorker(queue.database, "-c", "1") as two:
        answers = app.control.ping(timeout=5, limit=2)
        assert {name for answer in answers for name in answer} == {one.node, two.node}
        task = send(app, "wait", "gate")
        queue.until_noted("begun gate")
        active = app.control.inspect(timeout=5, limit=2).active()
        assert active is not None
        assert [task] == [running["id"] for tasks in active.values() for running in tasks]
        app.control.revoke(task, terminate=True, signal="SIGKILL")
        until(lambda: left(queue) == 0)
        send(app, "say", "after")
        queue.until_noted("after")
    assert "done gate" not in queue.notes()


def test_worker_tells_no_password(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1") as worker:
        stats = app.control.inspect(timeout=5, destination=[worker.node]).stats()
        password = psycopg.conninfo.conninfo_to_dict(queue.database.url)["password"]
        assert stats is not None
        assert str(password) not in f"{stats} {worker.output()}"


def test_events_of_workers_can_be_watched(queue: Queues, app: Celery) -> None:
    kinds: set[str] = set()
    expected = {"task-received", "task-started", "task-succeeded"}
    with QueueWorker(queue.database, "-c", "1", "-E"), app.connection_for_read() as connection:
        receiver = app.events.Receiver(opened(connection), handlers={"*": lambda event: kinds.add(event["type"])})
        is_sent = False
        # In one go: whoever stops listening misses what happens until it listens again.
        for _ in receiver.itercapture(timeout=15, wakeup=False):
            if "worker-heartbeat" in kinds and not is_sent:
                send(app, "say", "hello")
                is_sent = True
            if expected <= kinds:
                break
    assert expected <= kinds


def test_poison_message_fails_its_task_without_running_it(queue: Queues, app: Celery) -> None:
    send(app, "guarded", "ran")
    queue.admin.execute("UPDATE broker_message SET read_count = 5")
    with QueueWorker(queue.database, "-c", "1"):
        queue.until_noted("failed: PoisonMessage")
        until(lambda: left(queue) == 0)
    assert "ran" not in queue.notes()


def test_message_read_often_but_not_too_often_runs(queue: Queues, app: Celery) -> None:
    send(app, "guarded", "ran")
    queue.admin.execute("UPDATE broker_message SET read_count = 4")
    with QueueWorker(queue.database, "-c", "1"):
        queue.until_noted("ran")
