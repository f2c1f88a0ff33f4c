"""What the broker's tests share: connections to a test's queue, workers on it, and a look at its rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from kombu import Connection, Message, Producer

from tests.postgres import TestDatabase
from tests.stack.process import Process
from tests.waiting import until
from workerapp import broker
from workerapp.db.address import DatabaseAddress
from workerapp.db.hints import hints_for
from workerapp.leases import keeper_for

QUEUE = "work"


@dataclass(frozen=True)
class Queues:
    """The queue tables of one test's database."""

    database: TestDatabase
    admin: psycopg.Connection

    def connect(self, **options: Any) -> Connection:
        return Connection(self.database.url, transport_options=options)

    def rows(self, columns: str, queue: str = QUEUE) -> list[tuple[Any, ...]]:
        statement = f"SELECT {columns} FROM broker_message WHERE queue = %s ORDER BY id"
        return self.admin.execute(statement.encode(), (queue,)).fetchall()

    def notes(self) -> list[str]:
        return [what for (what,) in self.admin.execute("SELECT what FROM public.note ORDER BY id").fetchall()]

    def note(self, what: str) -> None:
        self.admin.execute("INSERT INTO public.note (what) VALUES (%s)", (what,))

    def until_noted(self, *notes: str, seconds: float = 20) -> None:
        until(lambda: set(notes) <= set(self.notes()), seconds)

    def end_sessions(self) -> int:
        """End every session of the product, as a restarting server or a firewall would."""
        return len(
            self.admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'gateway-%'"
            ).fetchall()
        )


@contextmanager
def queues(database: TestDatabase) -> Iterator[Queues]:
    """Opens the queue, and leaves no thread or connection of the transport behind."""
    broker.register()
    conninfo = DatabaseAddress.parse(database.admin_url).conninfo()
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute("CREATE TABLE public.note (id bigint GENERATED ALWAYS AS IDENTITY, what text)")
        try:
            yield Queues(database, admin)
        finally:
            close_transports()


def close_transports() -> None:
    for transport in _seen:
        transport.keeper.close()
        transport.hints.close()
    _seen.clear()
    keeper_for.cache_clear()
    hints_for.cache_clear()


_seen: list[broker.Transport] = []


def opened(connection: Connection) -> Connection:
    """The connection, once it is established; its threads end with the test."""
    connection.connect()
    _seen.append(connection.transport)
    return connection


def publish(connection: Connection, body: Any = "hello", **options: Any) -> None:
    Producer(connection.default_channel).publish(body, routing_key=options.pop("queue", QUEUE), **options)


@contextmanager
def reading(connection: Connection, queue: str = QUEUE, prefetch: int = 0, **options: Any) -> Iterator[list[Message]]:
    """The messages a consumer has been given so far."""
    messages: list[Message] = []
    channel = connection.channel()
    channel.basic_qos(0, prefetch, False)  # noqa: FBT003  # kombu's signature
    channel.basic_consume(queue, options.get("no_ack", False), messages.append, "reader")
    try:
        yield messages
    finally:
        channel.close()


def drain(connection: Connection, messages: list[Message], count: int, seconds: float = 5) -> list[Any]:
    """The bodies of the first `count` messages."""
    while len(messages) < count:
        connection.drain_events(timeout=seconds)
    return [message.decode() for message in messages]


class QueueWorker(Process):
    """`celery worker` on the queue, with the tasks of tests/integration/queue_app.py."""

    def __init__(self, database: TestDatabase, *options: str, **environment: str) -> None:
        self.node = f"{uuid4().hex[:8]}@test"
        arguments = ["-m", "celery", "-A", "tests.integration.queue_app", "worker", "-n", self.node, "-l", "INFO"]
        places = {"QUEUE_URL": database.url, "QUEUE_ADMIN_URL": database.admin_url}
        super().__init__(self.node, [*arguments, *options], places | environment)

    def start(self) -> None:
        super().start()
        self.wait_for(rf"{self.node} ready\.$")


class outage:  # noqa: N801  # reads as a statement
    """The database lets nobody in."""

    def __init__(self, queue: Queues) -> None:
        self._queue = queue

    def __enter__(self) -> None:
        self._allow("false")
        self._queue.end_sessions()

    def __exit__(self, *_: object) -> None:
        self._allow("true")

    def _allow(self, yes: str) -> None:
        name = self._queue.admin.info.dbname
        server = psycopg.conninfo.make_conninfo(self._queue.database.admin_url, dbname="postgres")
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {yes}'.encode())
