"""How tasks leave when the broker is RabbitMQ or Redis: stored in the database with the work they belong to.

A message is written as it is with Postgres as the broker: in the transaction of the context, or else in one of its own,
and the task's row with it. Relays (see relay.py) pass it on after the commit. When a worker begins the task the stored
message goes; one that the broker lost is still there, and is published once more.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.app.amqp import AMQP
from kombu.connection import Connection as BrokerConnection
from kombu.messaging import Producer
from kombu.utils.functional import retry_over_time
from kombu.utils.json import dumps

from workerapp import capture
from workerapp.contract.events import EVENT_CHANNEL, QUEUE_CHANNEL
from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import LOST, Session, current
from workerapp.db.hints import hints_for
from workerapp.verdict import Verdict

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

#: The message header that names the stored message; a request carries it as an attribute.
OUTBOX_HEADER = "outbox_id"

STORE = "SELECT broker_publish(queue, message::jsonb) FROM unnest(%s::text[], %s::text[]) AS captured(queue, message)"
BEGIN = "SELECT begin_task(%s, %s, %s, %s)"


class Outbox:
    """Stores messages, and tells what to do with a delivered one."""

    def __init__(self, address: DatabaseAddress, max_reads: int) -> None:
        capture.register()
        self._max_reads = max_reads
        self._session = Session(address, application_name="outbox")
        self._hints = hints_for(address)
        #: Makes envelopes as Celery wants them; what it sends is captured.
        self.producer = Producer(BrokerConnection(capture.URL), auto_declare=False)

    def store(self, messages: Iterable[capture.CapturedMessage]) -> None:
        """Write the messages of tasks into the transaction of the context, or else commit them at once."""
        kept = [captured for captured in messages if "task" in captured.message["headers"]]
        row = ([captured.queue for captured in kept], [dumps(captured.message) for captured in kept])
        joined = current.get()
        if joined is not None:
            joined.execute(STORE, row)
        else:
            retry_over_time(self._commit, LOST, args=(row,), max_retries=3, interval_start=0.1, interval_step=0.4)
        self._hints.news(QUEUE_CHANNEL, EVENT_CHANNEL)

    def _commit(self, row: tuple[list[str], list[str]]) -> None:
        self._session.run(lambda connection: connection.execute(STORE, row))

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._session.close()

    def begin(self, task_id: str, message_id: str, *, redelivered: bool) -> Verdict:
        """Take note that a task begins, and tell whether it may."""
        row = (task_id, int(message_id), redelivered, self._max_reads)
        try:
            answer = self._session.run(lambda connection: connection.execute(BEGIN, row).fetchone())
        except LOST as error:
            # The backend waits for the database or hands the message back; a copy may come later and is told apart.
            logger.warning("task_begun_without_database", extra={"task_id": task_id, "error": type(error).__name__})
            return Verdict.RUN
        assert answer is not None
        return Verdict(answer[0])


class OutboxAMQP(AMQP):  # type: ignore[misc]  # Celery has no types
    """Stores tasks instead of sending them; remote control and events use the broker directly."""

    app: WorkerApp

    def _create_task_sender(self) -> Callable[..., Any]:
        send = super()._create_task_sender()

        def store(_: Any, name: str, message: Any, **options: Any) -> Any:
            outbox = self.app.outbox
            assert outbox is not None
            with capture.capture() as messages:
                sent = send(outbox.producer, name, message, **options)
            outbox.store(messages)
            return sent

        return store


def ask_before_execution() -> None:
    """Let every task of this process, whatever its base, ask the outbox before it is executed."""
    signals.task_prerun.connect(_ask, weak=False, dispatch_uid="workerapp.outbox")


def _ask(task: Any = None, task_id: str = "", **_: Any) -> None:
    request = task.request
    outbox: Outbox | None = getattr(task.app, "outbox", None)
    message_id = getattr(request, OUTBOX_HEADER, None)
    if outbox is None or message_id is None or request.called_directly:
        return
    redelivered = bool((request.delivery_info or {}).get("redelivered"))
    verdict = outbox.begin(task_id, message_id, redelivered=redelivered)
    verdict.pronounce(request, redelivered=redelivered)
