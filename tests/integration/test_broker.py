"""The transport itself, as kombu uses it: publishing, fetching, settling, routing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from kombu import Connection
from psycopg.types.json import Jsonb

from tests.integration.queues import QUEUE, Queues, drain, opened, publish, queues, reading
from tests.postgres import TestDatabase
from tests.records import add_organization, add_task
from tests.waiting import until
from workerapp.contract.events import QUEUE_CHANNEL
from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import Session, connect
from workerapp.db.listener import Listener
from workerapp.leases import Lease


@pytest.fixture
def queue(database: TestDatabase) -> Iterator[Queues]:
    with queues(database) as opened_queues:
        yield opened_queues


@pytest.fixture
def connection(queue: Queues) -> Iterator[Connection]:
    with opened(queue.connect(visibility_timeout=60)) as established:
        yield established


def test_acknowledged_message_is_gone(queue: Queues, connection: Connection) -> None:
    publish(connection, {"n": 1})
    with reading(connection) as messages:
        assert drain(connection, messages, 1) == [{"n": 1}]
        messages[0].ack()
        until(lambda: queue.rows("id") == [])


def test_acknowledgement_is_sent_when_the_channel_closes(queue: Queues, connection: Connection) -> None:
    publish(connection)
    with reading(connection) as messages:
        drain(connection, messages, 1)
        messages[0].ack()
    assert queue.rows("id") == []


def test_unread_messages_go_back_uncounted_when_the_channel_closes(queue: Queues, connection: Connection) -> None:
    for n in range(3):
        publish(connection, n)
    with reading(connection) as messages:
        drain(connection, messages, 3)
        assert queue.rows("read_count") == [(1,), (1,), (1,)]
    assert queue.rows("read_count, leased_by") == [(0, None)] * 3
    with reading(connection) as messages:
        assert drain(connection, messages, 3) == [0, 1, 2]


def test_requeued_message_comes_again_and_says_so(connection: Connection) -> None:
    publish(connection)
    with reading(connection) as messages:
        drain(connection, messages, 1)
        assert not messages[0].delivery_info["redelivered"]
        messages[0].reject(requeue=True)
        drain(connection, messages, 2)
    assert messages[1].delivery_info["redelivered"]
    assert messages[1].delivery_info["read_count"] == 2


def test_no_more_is_fetched_than_the_prefetch_limit(queue: Queues, connection: Connection) -> None:
    for n in range(10):
        publish(connection, n)
    with reading(connection, prefetch=3) as messages:
        drain(connection, messages, 3)
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)
        assert sum(lease is not None for (lease,) in queue.rows("leased_by")) == 3
        messages[0].ack()
        drain(connection, messages, 4)


def test_urgent_messages_come_first(connection: Connection) -> None:
    for priority in (0, 9, 5, 9):
        publish(connection, priority, priority=priority)
    with reading(connection) as messages:
        assert drain(connection, messages, 4) == [9, 9, 5, 0]


def test_what_one_node_is_told_comes_before_the_tasks_that_are_fetched_with_it(connection: Connection) -> None:
    order: list[str] = []
    with connection.channel() as tasks, connection.channel() as control:
        tasks.basic_consume(QUEUE, True, lambda _: order.append("task"), "tasks")  # noqa: FBT003  # kombu's signature
        control.queue_declare("node", auto_delete=True)
        control.basic_consume("node", True, lambda _: order.append("revoke"), "control")  # noqa: FBT003
        publish(connection, queue="node")
        publish(connection)
        while len(order) < 2:
            connection.drain_events(timeout=5)
    assert order == ["revoke", "task"]


def test_message_is_not_delivered_before_its_eta(queue: Queues, connection: Connection) -> None:
    eta = datetime.now(UTC) + timedelta(seconds=1.5)
    publish(connection, headers={"eta": eta.isoformat()})
    assert queue.rows("visible_at") == [(eta,)]
    with reading(connection) as messages:
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.3)
        drain(connection, messages, 1)
    assert datetime.now(UTC) >= eta


def test_expired_message_is_not_delivered(connection: Connection) -> None:
    publish(connection, "stale", expiration=0.001)
    publish(connection, "fresh", expiration=60)
    with reading(connection) as messages:
        assert drain(connection, messages, 1) == ["fresh"]
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)


def test_waiting_consumer_is_woken_by_the_hint(queue: Queues) -> None:
    consuming, publishing = opened(queue.connect(polling_interval=30)), opened(queue.connect())
    with consuming, publishing, reading(consuming) as messages:
        with pytest.raises(socket.timeout):
            consuming.drain_events(timeout=0.1)
        publish(publishing)
        drain(consuming, messages, 1, seconds=5)


def test_hint_that_got_lost_costs_one_poll(queue: Queues) -> None:
    with opened(queue.connect(polling_interval=0.2)) as consuming, reading(consuming) as messages:
        with pytest.raises(socket.timeout):
            consuming.drain_events(timeout=0)
        message = {"body": '"quiet"', "content-type": "application/json", "headers": {}, "properties": {}}
        queue.admin.execute("SELECT broker_publish(%s, %s)", (QUEUE, Jsonb(message)))
        assert drain(consuming, messages, 1, seconds=5) == ["quiet"]


@pytest.mark.parametrize(
    "broken", ['"text"', "{}", '{"properties": 1}', '{"properties": {"body_encoding": "x"}, "body": "y"}']
)
def test_malformed_message_is_removed_and_the_next_is_delivered(
    queue: Queues, connection: Connection, broken: str
) -> None:
    queue.admin.execute(
        "INSERT INTO broker_message (queue, organization_id, rank, visible_at, message)"
        " VALUES (%s, '00000000-0000-0000-0000-000000000000', 0, now(), %s::jsonb)",
        (QUEUE, broken),
    )
    publish(connection, "good")
    with reading(connection) as messages:
        while not messages:
            connection.drain_events(timeout=5)
        assert [message.decode() for message in messages] == ["good"]
        assert len(queue.rows("id")) == 1


def test_task_of_a_message_nobody_survives_is_failed(queue: Queues, connection: Connection) -> None:
    organization = add_organization(queue.admin)
    task = add_task(queue.admin, organization)
    headers = {"task": "echo", "id": task, "organization_id": str(organization)}
    publish(connection, headers=headers)
    queue.admin.execute("UPDATE broker_message SET read_count = 99")
    publish(connection, "next")
    with reading(connection) as messages:
        while not messages:
            connection.drain_events(timeout=5)
    state, error = queue.admin.execute("SELECT state, error FROM task WHERE id = %s", (task,)).fetchone() or (
        None,
        None,
    )
    assert state == "FAILURE"
    assert error["exc_type"] == "PoisonMessage"
    assert "delivered 100 times" in error["exc_message"][0]


def test_one_tenants_backlog_does_not_delay_another(queue: Queues, connection: Connection) -> None:
    busy, quiet = add_organization(queue.admin), add_organization(queue.admin)
    queue.admin.execute(
        "INSERT INTO broker_message (queue, organization_id, rank, visible_at, message)"
        " SELECT %s, %s, 9, now(), jsonb_build_object('body', '\"busy\"', 'content-type', 'application/json',"
        " 'headers', '{}'::jsonb, 'properties', '{}'::jsonb) FROM generate_series(1, 2000)",
        (QUEUE, busy),
    )
    with reading(connection, prefetch=4) as messages:
        drain(connection, messages, 4)
        publish(connection, "quiet", headers={"organization_id": str(quiet)})
        messages[0].ack()
        assert drain(connection, messages, 5)[4] == "quiet"


def test_binary_body_and_nul_survive(connection: Connection) -> None:
    publish(connection, b"\x00\xff", content_type="application/data", content_encoding="binary")
    publish(connection, {"text": "a\0b"})
    with reading(connection) as messages:
        while len(messages) < 2:
            connection.drain_events(timeout=5)
    assert messages[0].body == b"\x00\xff"
    assert messages[1].decode() == {"text": "a\0b"}


# ---------------------------------------------------------------- transactions
def test_message_is_published_with_the_transaction_of_the_context(queue: Queues, connection: Connection) -> None:
    transport = connection.transport
    with connect(transport.address, application_name="gateway-test") as mine:
        with pytest.raises(ZeroDivisionError), transport.hints.transaction(mine):  # noqa: PT012
            publish(connection, ["rolled back"])
            raise ZeroDivisionError
        with transport.hints.transaction(mine):
            publish(connection, ["committed"])
            assert queue.rows("id") == []
    assert [message["body"] for (message,) in queue.rows("message")] == ['["committed"]']


def test_hint_follows_the_commit_of_the_transaction(queue: Queues, connection: Connection) -> None:
    hints, address = connection.transport.hints, connection.transport.address
    listener = Listener(address, QUEUE_CHANNEL)
    with connect(address, application_name="gateway-test") as mine:
        with hints.transaction(mine):
            publish(connection)
            hints.close()  # whatever was to be sent now would have been
            assert listener.drain() == frozenset()
        until(listener.drain)
    listener.close()


def test_burst_of_publishing_sends_few_hints(queue: Queues, connection: Connection) -> None:
    address = connection.transport.address
    with connect(address, application_name="gateway-test") as listening:
        listening.execute("LISTEN gateway_queue")
        began = time.monotonic()
        for _ in range(200):
            connection.transport.hints.news(QUEUE_CHANNEL)
        connection.transport.hints.close()
        most = 2 + (time.monotonic() - began) / 0.025
        heard = list(listening.notifies(timeout=0.2))
    assert 1 <= len(heard) <= most


# ---------------------------------------------------------------- leases and lost connections
def test_held_message_stays_hidden_beyond_its_visibility(queue: Queues) -> None:
    with opened(queue.connect(visibility_timeout=1)) as connection:
        publish(connection)
        with reading(connection) as messages, reading(connection, queue="other"):
            drain(connection, messages, 1)
            (until_then,) = queue.rows("visible_at")[0]
            until(lambda: queue.rows("visible_at")[0][0] > until_then + timedelta(seconds=1))
            assert queue.rows("read_count") == [(1,)]


def test_message_of_a_lease_that_ended_is_not_removed_by_its_old_holder(queue: Queues, connection: Connection) -> None:
    publish(connection)
    with reading(connection) as messages:
        drain(connection, messages, 1)
        queue.admin.execute("UPDATE broker_message SET leased_by = gen_random_uuid()")
        messages[0].ack()
    assert len(queue.rows("id")) == 1


def test_settling_goes_on_after_all_sessions_were_ended(queue: Queues, connection: Connection) -> None:
    publish(connection, 1)
    with reading(connection) as messages:
        drain(connection, messages, 1)
        assert queue.end_sessions() >= 2
        messages[0].ack()
        publish(connection, 2)
        drain(connection, messages, 2)
        messages[1].ack()
        until(lambda: queue.rows("id") == [])


def test_connection_is_never_carried_over_a_fork(database: TestDatabase) -> None:
    session = Session(DatabaseAddress.parse(database.url), application_name="gateway-test")
    parents = _backend_pid(session)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writable, str(_backend_pid(session)).encode())
        session.close()
        os._exit(0)
    os.waitpid(child, 0)
    childs = int(os.read(readable, 32))
    os.close(readable)
    os.close(writable)
    assert childs != parents
    assert _backend_pid(session) == parents
    session.close()


def test_flush_that_failed_is_repeated(database: TestDatabase) -> None:
    address = DatabaseAddress.parse(database.url)
    lease = Lease()
    lease.take([1, 2])
    lease.ack(1)
    lease.release(2, unread=True)
    with connect(address, application_name="gateway-test") as broken:
        broken.close()
        with pytest.raises(psycopg.OperationalError):
            lease.flush(broken)
    assert lease.has_news()
    with connect(address, application_name="gateway-test") as working:
        assert lease.flush(working)
    assert not lease.has_news()


def _backend_pid(session: Session) -> int:
    return session.run(lambda connection: connection.info.backend_pid)
