"""Passes stored messages on to RabbitMQ or Redis: soon after their commit, and whatever a crash has left behind.

Every worker has a relay, and they share the work by leases on rows: no one of them is needed. A message counts as
passed on when the broker has confirmed it; until then its lease ends within seconds and another relay publishes it.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import base64
import logging
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from celery import bootsteps
from kombu.connection import Connection as BrokerConnection
from kombu.entity import Queue
from kombu.exceptions import ChannelError
from kombu.messaging import Producer

from workerapp.contract.events import QUEUE_CHANNEL
from workerapp.db.connection import Connection, connect
from workerapp.db.listener import Listener
from workerapp.db.settings import REDIS_SCHEMES
from workerapp.outbox import OUTBOX_HEADER
from workerapp.serving import ServingCheck

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

#: How long a relay may take for a batch before others may publish it too.
LEASE = timedelta(seconds=10)
#: How long the broker may take to confirm a message.
CONFIRM_SECONDS = 5.0
#: The pause after a pass that found something; it doubles with each that found nothing, up to the polling interval.
SHORT_PAUSE = 0.05

TAKE = "SELECT id, queue, published, held, message FROM outbox_take(%s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored message; `published` if the broker has had it and nobody began it; `held` if more had to stay behind."""

    id: int
    queue: str
    published: bool
    held: bool
    message: dict[str, Any]


class RelayStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Runs the relay in the main process of every worker."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._relay: Relay | None = None

    def start(self, worker: Any) -> None:
        self._relay = Relay(worker.app)
        self._relay.start()

    def stop(self, worker: Any) -> None:
        if self._relay is not None:
            self._relay.stop()

    terminate = stop


class Relay(threading.Thread):
    """Passes messages on until stopped; while the broker or the database is away they wait in the table."""

    def __init__(self, app: WorkerApp) -> None:
        super().__init__(name="relay", daemon=True)
        self._app = app
        self._settings = app.settings.outbox
        self._stopping = threading.Event()
        self._failing = False

    def run(self) -> None:
        """Work, and after any trouble connect anew; that it goes on is told once."""
        while not self._stopping.is_set():
            broker = self._app.connection_for_write(heartbeat=0)
            try:
                with broker:
                    self._work(broker)
            except (psycopg.Error, OSError, *broker.connection_errors, *broker.channel_errors) as error:
                fields = {"error": type(error).__name__, "reason": str(error).strip()}
                logger.log(logging.DEBUG if self._failing else logging.WARNING, "relay_interrupted", extra=fields)
                self._failing = True
                self._app.metrics.relay.interruptions.inc()
            except Exception:
                logger.exception("relay_failed")
                self._app.metrics.relay.interruptions.inc()
            self._stopping.wait(self._settings.pause)

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stopping.set()

    def _work(self, broker: BrokerConnection) -> None:
        address = self._app.settings.database
        broker.connect()
        with _listening(self._app) as listener, connect(address, application_name="relay") as connection:
            batches = Batches(self._app, connection, broker.channel())
            pause = SHORT_PAUSE
            while not self._stopping.is_set():
                passed = batches.pass_on()
                self._failing = False
                pause = SHORT_PAUSE if passed else min(pause * 2, self._settings.pause)
                if passed < self._settings.batch and select.select([listener], [], [], pause)[0]:
                    listener.drain()


class Batches:
    """One connection to each side."""

    def __init__(self, app: WorkerApp, connection: Connection, channel: Any) -> None:
        self._app = app
        self._settings = app.settings.outbox
        self._connection = connection
        self._channel = channel
        self._producer = Producer(channel, auto_declare=False)
        self._metrics = app.metrics.relay
        self._token = uuid4()

    def pass_on(self) -> int:
        """Publish what may leave now; returns how many."""
        row = (self._settings.batch, self._settings.ahead, self._token, LEASE)
        began = time.monotonic()
        taken = [Waiting(*found) for found in self._connection.execute(TAKE, row)]
        done: list[int] = []
        try:
            for waiting in taken:
                self._pass(waiting)
                done.append(waiting.id)
        finally:
            self._settle(done, [waiting.id for waiting in taken[len(done) :]])
        if taken:
            self._metrics.batches.observe(time.monotonic() - began)
        return len(taken)

    def _pass(self, waiting: Waiting) -> None:
        queue = self._app.amqp.queues.get(waiting.queue) or self._app.amqp.queues.new_missing(waiting.queue)
        if not waiting.published:
            self._producer.maybe_declare(queue)
            self._publish(waiting)
        elif self._is_empty(queue):
            logger.warning("message_published_again", extra={"message_id": waiting.id, "queue": waiting.queue})
            self._metrics.again.inc()
            self._publish(waiting)

    def _is_empty(self, queue: Queue) -> bool:
        """Whether nothing waits in the broker; where something does, a message is late and not lost."""
        queue(self._channel).declare()  # it may have gone with its messages
        try:
            return bool(self._channel.queue_declare(queue=queue.name, passive=True).message_count == 0)
        except ChannelError:
            return True  # in Redis an empty queue does not exist

    def _publish(self, waiting: Waiting) -> None:
        message, properties = waiting.message, waiting.message["properties"]
        self._producer.publish(
            _body(message),
            exchange="",
            routing_key=waiting.queue,
            headers=message["headers"] | {OUTBOX_HEADER: str(waiting.id)},
            content_type=message["content-type"],
            content_encoding=message["content-encoding"],
            delivery_mode=properties.get("delivery_mode"),
            priority=self._priority(properties),
            correlation_id=properties.get("correlation_id"),
            reply_to=properties.get("reply_to"),
            confirm_timeout=CONFIRM_SECONDS,
        )
        self._metrics.messages.inc()

    def _priority(self, properties: dict[str, Any]) -> int:
        """None in Redis, where kombu takes the lowest for the most urgent: what is there stays in its order."""
        return 0 if self._app.settings.broker_scheme in REDIS_SCHEMES else properties.get("priority") or 0

    def _settle(self, done: list[int], left: list[int]) -> None:
        if done:
            row = (done, self._token, timedelta(seconds=self._settings.lost_after))
            self._connection.execute("SELECT outbox_published(%s, %s, %s)", row)
        if left:
            self._connection.execute("SELECT broker_release(%s, %s, true)", (left, self._token))


def _body(message: dict[str, Any]) -> bytes | str:
    body: str = message["body"]
    return base64.b64decode(body) if message["properties"].get("body_encoding") == "base64" else body


@contextmanager
def _listening(app: WorkerApp) -> Iterator[Listener]:
    listener = Listener(app.settings.database, QUEUE_CHANNEL)
    try:
        yield listener
    finally:
        listener.close()
