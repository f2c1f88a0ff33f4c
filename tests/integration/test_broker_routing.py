"""Exchanges, bindings and queues: rows that every process sees, and what becomes of those nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ChannelError

from tests.integration.queues import QUEUE, Queues, opened, publish, queues
from tests.postgres import TestDatabase


@pytest.fixture
def queue(database: TestDatabase) -> Iterator[Queues]:
    with queues(database) as opened_queues:
        yield opened_queues


@pytest.fixture
def connection(queue: Queues) -> Iterator[Connection]:
    with opened(queue.connect(visibility_timeout=60)) as established:
        yield established


def test_fanout_reaches_every_bound_queue(queue: Queues) -> None:
    news = Exchange("news", type="fanout", durable=False)
    with opened(queue.connect()) as first, opened(queue.connect()) as second, opened(queue.connect()) as publishing:
        received: list[object] = []
        for name, connection in (("one", first), ("two", second)):
            bound = Queue(name, news, auto_delete=True, durable=False)
            connection.Consumer(bound, callbacks=[lambda body, _: received.append(body)], no_ack=True).consume()
        publishing.Producer().publish("heard", exchange=news, declare=[news])
        first.drain_events(timeout=5)
        second.drain_events(timeout=5)
    assert received == ["heard", "heard"]


@pytest.mark.parametrize(
    ("key", "arrivals"), [("worker.up", 1), ("worker.up.now", 0), ("task.up", 0), ("worker_up", 0)]
)
def test_topic_matches_words(queue: Queues, connection: Connection, key: str, arrivals: int) -> None:
    events = Exchange("events", type="topic")
    Queue(QUEUE, events, routing_key="worker.*")(connection.default_channel).declare()
    connection.Producer().publish("event", exchange=events, routing_key=key, declare=[events])
    assert len(queue.rows("id")) == arrivals


def test_direct_binding_is_known_to_other_processes(queue: Queues) -> None:
    letters = Exchange("letters", type="direct")
    with opened(queue.connect()) as declaring, opened(queue.connect()) as publishing:
        Queue(QUEUE, letters, routing_key="anna")(declaring.default_channel).declare()
        publishing.Producer().publish("dear", exchange="letters", routing_key="anna")
        publishing.Producer().publish("dear", exchange="letters", routing_key="berta")
    assert len(queue.rows("id")) == 1


def test_temporary_queue_goes_with_its_consumer(queue: Queues, connection: Connection) -> None:
    news = Exchange("news", type="fanout", durable=False)
    with connection.Consumer(Queue("mine", news, auto_delete=True), no_ack=True):
        connection.Producer().publish("unread", exchange=news)
        assert len(queue.rows("id", queue="mine")) == 1
    assert queue.rows("id", queue="mine") == []
    assert queue.admin.execute("SELECT FROM broker_binding WHERE queue = 'mine'").fetchall() == []


def test_queue_of_a_dead_node_is_swept_and_others_stay(queue: Queues, connection: Connection) -> None:
    news = Exchange("news", type="fanout")
    Queue("stays", news)(connection.default_channel).declare()
    Queue("alive", news, auto_delete=True)(connection.default_channel).declare()
    Queue("dead", news, auto_delete=True)(connection.default_channel).declare()
    connection.Producer().publish("x", exchange=news)
    queue.admin.execute("UPDATE broker_binding SET alive_at = now() - interval '1 hour' WHERE queue = 'dead'")
    queue.admin.execute("SELECT broker_sweep('5 minutes')")
    bound = queue.admin.execute("SELECT queue FROM broker_binding ORDER BY queue").fetchall()
    assert bound == [("alive",), ("stays",)]
    assert queue.rows("id", queue="dead") == []


def test_missing_queue_is_reported_when_asked_for(queue: Queues, connection: Connection) -> None:
    with pytest.raises(ChannelError, match="NOT_FOUND"):
        connection.default_channel.queue_declare("nowhere", passive=True)
    publish(connection)
    assert connection.default_channel.queue_declare(QUEUE, passive=True).message_count == 1


def test_purge_tells_how_many_were_waiting(connection: Connection) -> None:
    for n in range(3):
        publish(connection, n)
    assert connection.default_channel.queue_purge(QUEUE) == 3
    assert connection.default_channel.queue_purge(QUEUE) == 0
