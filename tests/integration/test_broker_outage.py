"""Real Celery workers while the database lets nobody in: nothing is lost, stays behind or is executed twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from celery import Celery

from tests.integration.queues import QUEUE as QUEUE_OF_READERS
from tests.integration.queues import Queues, QueueWorker, opened, outage, publish, queues, reading
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


def test_worker_goes_on_after_the_database_was_away(queue: Queues, app: Celery) -> None:
    """Nothing is lost or begun twice, although the outage is longer than the visibility."""
    with QueueWorker(queue.database, "-c", "1", QUEUE_VISIBILITY="1", QUEUE_PREFETCH="1") as worker:
        send(app, "wait", "gate")
        queue.until_noted("begun gate")
        with outage(queue):
            worker.wait_for("Trying again|Trying to reconnect|Cannot connect")
            until(lambda: queue.rows("visible_at < now()", queue=QUEUE) == [(True,)])
        queue.note("open gate")
        send(app, "say", "after")
        queue.until_noted("after", seconds=40)
        until(lambda: left(queue) == 0)
    assert queue.notes() == ["begun gate", "open gate", "done gate", "after"]


def test_task_whose_end_is_half_told_when_the_connection_is_lost_leaves_nothing(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_PREFETCH="1") as worker:
        send(app, "end_haltingly", "gate")
        queue.until_noted("half told gate")
        with outage(queue):
            worker.wait_for("Cannot connect")
        queue.note("open gate")
        send(app, "say", "after")
        queue.until_noted("after")
        until(lambda: left(queue) == 0)


def test_task_whose_end_is_half_told_is_waited_for_by_a_worker_that_stops(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_PREFETCH="1") as worker:
        send(app, "end_haltingly", "gate")
        queue.until_noted("half told gate")
        with outage(queue):
            worker.wait_for("Cannot connect")
            os.kill(worker.pid, signal.SIGTERM)
            worker.wait_for("Warm shutdown")
        queue.note("open gate")
        until(lambda: left(queue) == 0)


def test_end_that_was_told_by_a_process_that_then_died_counts(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_PREFETCH="1") as worker:
        send(app, "end_haltingly", "gate")
        queue.until_noted("half told gate")
        with outage(queue):
            worker.wait_for("Cannot connect")
            os.kill(worker.pid, signal.SIGSTOP)
        queue.note("open gate")
        queue.until_noted("told gate")
        os.kill(only_child(worker), signal.SIGKILL)
        os.kill(worker.pid, signal.SIGCONT)
        until(lambda: left(queue) == 0)
    assert not worker.lines("WorkerLostError")


def test_process_that_dies_before_it_has_told_the_end_of_its_task_is_replaced(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_PREFETCH="1") as worker:
        send(app, "end_haltingly", "gate")
        queue.until_noted("half told gate")
        with outage(queue):
            worker.wait_for("Cannot connect")
            os.kill(only_child(worker), signal.SIGKILL)
        send(app, "say", "after")
        queue.until_noted("after")
        until(lambda: left(queue) == 0)


def test_task_that_a_process_was_given_before_the_outage_is_executed_once(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_PREFETCH="1") as worker:
        child = give(queue, app, worker, "given")
        with outage(queue):
            worker.wait_for("Cannot connect")
        os.kill(child, signal.SIGCONT)
        send(app, "say", "after")
        queue.until_noted("after")
        until(lambda: left(queue) == 0)
    assert queue.notes() == ["before", "given", "after"]


def test_task_whose_process_dies_before_it_begins_is_executed_by_another(queue: Queues, app: Celery) -> None:
    with QueueWorker(queue.database, "-c", "1", QUEUE_PREFETCH="1") as worker:
        child = give(queue, app, worker, "given")
        with outage(queue):
            worker.wait_for("Cannot connect")
            os.kill(child, signal.SIGKILL)
        send(app, "say", "after")
        queue.until_noted("after")
        until(lambda: left(queue) == 0)
    assert queue.notes() == ["before", "given", "after"]


def test_what_was_fetched_goes_back_when_the_next_fetch_finds_no_database(
    queue: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(queue.connect()) as connection:
        publish(connection)
        with reading(connection) as messages, reading(connection, "other"):
            monkeypatch.setattr(connection.transport.channels[-1], "fetch", no_database)
            with pytest.raises(psycopg.OperationalError):
                connection.drain_events(timeout=5)
            assert queue.rows("leased_by IS NULL, read_count", QUEUE_OF_READERS) == [(False, 1)]
            connection.transport.close_connection(connection.transport)
        assert messages == []
    until(lambda: queue.rows("leased_by IS NULL, read_count", QUEUE_OF_READERS) == [(True, 0)])


def test_message_beyond_use_goes_back_when_it_cannot_be_removed(queue: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(queue.connect()) as connection:
        publish(connection)
        queue.admin.execute("UPDATE broker_message SET message = '{}'")
        with reading(connection):
            channel = connection.transport.channels[-1]
            monkeypatch.setattr(channel, "_call", partial(call_unless, "broker_discard", channel._call))
            with pytest.raises(psycopg.OperationalError):
                connection.drain_events(timeout=5)
            until(lambda: queue.rows("leased_by IS NULL, read_count", QUEUE_OF_READERS) == [(True, 1)])


def no_database() -> None:
    raise psycopg.OperationalError("the connection is lost")


def call_unless(lost: str, call: Any, function: str, *arguments: Any) -> Any:
    return no_database() if function == lost else call(function, *arguments)


def only_child(worker: QueueWorker) -> int:
    (child,) = worker.children()
    return child


def give(queue: Queues, app: Celery, worker: QueueWorker, what: str) -> int:
    """Give a task to a process that is stopped, and so does not tell that it begins; the process."""
    send(app, "say", "before")
    until(lambda: left(queue) == 0 and queue.notes())
    child = only_child(worker)
    os.kill(child, signal.SIGSTOP)
    send(app, "say", what)
    until(lambda: written(app, worker) == 2)
    return child


def written(app: Celery, worker: QueueWorker) -> int:
    """How many tasks the worker has written to its processes."""
    stats = app.control.inspect(timeout=5, destination=[worker.node]).stats()
    assert stats is not None
    writes: dict[str, Any] = stats[worker.node]["pool"]["writes"]
    return 0 if writes == "N/A" else int(writes["total"])
