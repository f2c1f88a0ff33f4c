"""One kombu channel over the functions in `db/sql/broker.sql`: publishing, bindings, fetching and settling messages."""

# ruff: noqa: FBT001, FBT002 - the signatures are kombu's
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import virtual
from kombu.transport.base import to_rabbitmq_queue_arguments
from kombu.transport.virtual.base import queue_declare_ok_t  # type: ignore[attr-defined]
from psycopg.types.json import Jsonb

from workerapp.contract.events import EVENT_CHANNEL, QUEUE_CHANNEL
from workerapp.db.connection import LOST, current
from workerapp.leases import Lease

if TYPE_CHECKING:
    from workerapp.broker import Transport

logger = logging.getLogger(__name__)

#: The most one fetch takes for a consumer without a prefetch limit.
BATCH = 100
#: Beyond `max_reads` a message is delivered so many times more for its task to be failed properly; then it is removed.
LAST_CHANCES = 2
#: Where more may be waiting but there is room for little, a fetch waits so long for more room: few large fetches.
DAWDLE = 0.005


class Delivery(NamedTuple):
    """A message as the database hands it out."""

    id: int
    queue: str
    read_count: int
    message: Any


class Channel(virtual.Channel):
    """Publishes and consumes through the functions of the queue."""

    supports_fanout = True
    #: When to look for messages; None: not before a hint or the next poll.
    look_at: float | None = None
    #: The last fetch got all it asked for.
    backlog = False

    def __init__(self, connection: Transport, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._pid = os.getpid()
        self._transport = connection
        self._unacknowledged_queues: set[str] = set()
        #: Queues of one consumer, which go when it does.
        self.temporary: set[str] = set()

    @cached_property
    def lease(self) -> Lease:
        return self._transport.keeper.open()

    def _call(self, function: str, *arguments: Any) -> list[tuple[Any, ...]]:
        marks = ", ".join(["%s"] * len(arguments))
        return self._transport.session.run(
            lambda connection: connection.execute(
                f"SELECT * FROM {function}({marks})",  # noqa: S608  # named in this module only
                arguments,
            ).fetchall()
        )

    # ------------------------------------------------------------ publishing
    def basic_publish(self, message: dict[str, Any], exchange: str | None, routing_key: str, **kwargs: Any) -> None:
        self._inplace_augment_message(message, exchange, routing_key)
        if not exchange:
            self._put(routing_key, message)
            return
        copies = self._publish(message, "broker_route", exchange, routing_key)
        deadletter_queue = cast("str | None", self.deadletter_queue)
        if not copies and deadletter_queue:
            self._put(deadletter_queue, message)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        self._publish(message, "broker_publish", queue)

    def _publish(self, message: dict[str, Any], function: str, *arguments: str) -> int:
        """Join the transaction of the context, if there is one; its owner hints after the commit."""
        joined = current.get()
        values = (*arguments, Jsonb(message))
        if joined is None:
            ((count,),) = self._call(function, *values)
        else:
            marks = ", ".join(["%s"] * len(values))
            ((count,),) = joined.execute(f"SELECT {function}({marks})", values).fetchall()
        headers = message.get("headers") or {}
        writes_event = headers.get("task") and headers.get("organization_id")
        if count:
            self._transport.hints.news(*([QUEUE_CHANNEL, EVENT_CHANNEL] if writes_event else [QUEUE_CHANNEL]))
        return int(count)

    def encode_body(self, body: Any, encoding: str | None = None) -> tuple[Any, str | None]:
        """Text stays text, readable in the table; Postgres cannot hold a NUL in it, nor bytes."""
        if isinstance(body, str) and "\0" not in body:
            return body, None
        return super().encode_body(body, encoding)  # type: ignore[no-any-return]

    # ------------------------------------------------------------ queues and bindings
    def prepare_queue_arguments(self, arguments: Any, **kwargs: Any) -> Any:
        return to_rabbitmq_queue_arguments(arguments or {}, **kwargs)

    def queue_declare(self, queue: str | None = None, passive: bool = False, **kwargs: Any) -> queue_declare_ok_t:
        """Queues need no declaring; those of one consumer are remembered, to be removed with it."""
        queue = queue or f"amq.gen-{uuid4()}"
        if passive:
            if not self._call("broker_queue_exists", queue)[0][0]:
                raise ChannelError(f"NOT_FOUND - no queue {queue!r}", (50, 10), "Channel.queue_declare", "404")
            return queue_declare_ok_t(queue, self._size(queue), 0)
        expires = "x-expires" in (kwargs.get("arguments") or {})
        if kwargs.get("auto_delete") or kwargs.get("exclusive") or expires:
            self.temporary.add(queue)
            self._transport.keeper.touch(queue)
        return queue_declare_ok_t(queue, 0, 0)

    def queue_bind(
        self, queue: str, exchange: str | None = None, routing_key: str = "", arguments: Any = None, **kwargs: Any
    ) -> None:
        exchange = exchange or "amq.direct"
        kind = self.typeof(exchange)
        _, pattern, _ = kind.prepare_bind(queue, exchange, routing_key, arguments)
        self._call("broker_bind", exchange, kind.type, routing_key, pattern, queue, queue in self.temporary)

    def queue_unbind(
        self, queue: str, exchange: str | None = None, routing_key: str = "", arguments: Any = None, **kwargs: Any
    ) -> None:
        self._call("broker_unbind", exchange or "amq.direct", routing_key, queue)

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any) -> None:
        if if_empty and self._size(queue):
            return
        self.temporary.discard(queue)
        self._transport.keeper.forget(queue)
        self._call("broker_delete_queue", queue)

    def get_table(self, exchange: str) -> list[tuple[Any, ...]]:
        return self._call("broker_bindings", exchange)

    def _size(self, queue: str) -> int:
        return int(self._call("broker_size", queue)[0][0])

    def _purge(self, queue: str) -> int:
        return int(self._call("broker_purge", queue)[0][0])

    # ------------------------------------------------------------ consuming
    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> None:
        super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        self._transport.callbacks[queue] = callback  # messages are built before, where a malformed one is caught
        (self._unacknowledged_queues.add if no_ack else self._unacknowledged_queues.discard)(queue)
        self.look_at = 0.0

    def basic_cancel(self, consumer_tag: str) -> None:
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue in self.temporary and queue not in self._active_queues:
            with suppress(*LOST):
                self.queue_delete(queue)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> virtual.Message | None:
        for delivery in self._fetch_from([queue], 1):
            message = self._build(delivery)
            if message is not None:
                (self.lease.ack(delivery.id) if no_ack else self.qos.append(message, message.delivery_tag))
                return message
        return None

    def fetch(self) -> list[Delivery]:
        """What this channel may take; the queues take turns at being first."""
        self._active_queues.append(self._active_queues.pop(0))
        limit = self.room()
        found = self._fetch_from(self._active_queues, limit)
        self.backlog = len(found) >= limit
        self.look_at = monotonic() + DAWDLE if found else None
        for delivery in found:
            if delivery.queue in self._unacknowledged_queues:
                self.lease.ack(delivery.id)
                self._transport.keeper.nudge()
        return found

    def room(self) -> int:
        """How many messages the consumers of this channel may be given."""
        if not self._active_queues:
            return 0
        estimate = self.qos.can_consume_max_estimate()
        return BATCH if estimate is None else min(estimate, BATCH)

    def patience(self) -> float | None:
        """In how many seconds to fetch; None: there is no room, or nothing is known to wait."""
        room = self.room()
        if not room or self.look_at is None:
            return None
        plenty = 2 * room >= min(self.qos.prefetch_count or BATCH, BATCH)
        return 0.0 if plenty and self.backlog else max(0.0, self.look_at - monotonic())

    def _fetch_from(self, queues: list[str], limit: int) -> list[Delivery]:
        acked = self.lease.take_acked()
        try:
            rows = self._call("broker_turn", queues, limit, self.lease.token, self._transport.keeper.visibility, acked)
        except BaseException:
            self.lease.put_back(acked)
            raise
        found = [Delivery(*row) for row in rows]
        self.lease.take([delivery.id for delivery in found])
        return found

    def deliver(self, delivery: Delivery) -> None:
        """Hand a message to its consumer, or back when there is none any more."""
        callback = self._transport.callbacks.get(delivery.queue)
        if callback is None or self.closed:
            self.lease.release(delivery.id, unread=True)
            self._transport.keeper.nudge()
            return
        message = self._build(delivery)
        if message is not None:
            if delivery.queue not in self._unacknowledged_queues:
                self.qos.append(message, message.delivery_tag)
            callback(message)

    def _build(self, delivery: Delivery) -> virtual.Message | None:
        """The message for kombu; None when it is beyond use: then its task is failed and it is gone."""
        overdue = delivery.read_count - self._transport.max_reads
        if overdue > LAST_CHANCES:
            self._discard(delivery, f"it was delivered {delivery.read_count} times and never finished")
            return None
        try:
            properties = delivery.message["properties"]
            properties["delivery_tag"] = str(delivery.id)
            properties.setdefault("delivery_info", {}).update(
                redelivered=delivery.read_count > 1, read_count=delivery.read_count, poisoned=overdue > 0
            )
            return self.Message(delivery.message, channel=self)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            self._discard(delivery, f"{type(error).__name__}: {error}")
            return None

    def _discard(self, delivery: Delivery, reason: str) -> None:
        logger.error(
            "broker_message_discarded",
            extra={"message_id": delivery.id, "queue": delivery.queue, "reason": reason},
        )
        why = f"The message could not be worked on: {reason}"
        try:
            self._call("broker_discard", delivery.id, self.lease.token, why)
        except LOST:
            self.lease.release(delivery.id, unread=False)  # whoever gets it next tries again
            self._transport.keeper.nudge()
            raise
        self.lease.drop({delivery.id})

    # ------------------------------------------------------------ settling
    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        self.lease.ack(int(delivery_tag))
        self._settled(delivery_tag)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if requeue:
            self.lease.release(int(delivery_tag), unread=False)
        else:
            self.lease.ack(int(delivery_tag))
        self._settled(delivery_tag)

    def _settled(self, delivery_tag: str) -> None:
        """May be called from any thread, and after the channel was closed."""
        self.qos.ack(delivery_tag)
        self._transport.keeper.nudge()
        self._transport.wake()

    def _restore(self, message: virtual.Message) -> None:
        """At close: what nobody has begun goes back; what runs on is still held, and acknowledged when it ends."""
        if not _is_running(message):
            self.lease.release(int(message.delivery_tag), unread=True)

    def close(self) -> None:
        if self._pid != os.getpid():
            self.closed = True  # a copy after a fork: everything in it is the parent's
            return
        consumed = "lease" in self.__dict__ and not self.closed
        super().close()
        if consumed:
            self.lease.closed = True
            with suppress(*LOST):  # the keeper tries again
                self._transport.session.run(self._transport.keeper.flush)


def _is_running(message: virtual.Message) -> bool:
    """Whether Celery is executing this message's task, or about to, and will go on when the connection is gone."""
    state, prefork = sys.modules.get("celery.worker.state"), sys.modules.get("workerapp.prefork")
    if state is None:
        return False
    for request in state.active_requests | state.reserved_requests:
        if request.message is message:
            if request not in state.active_requests:
                return bool(prefork and prefork.is_given(request))
            cancels = request.app.conf.worker_cancel_long_running_tasks_on_connection_loss
            return not (cancels and request.task.acks_late)
    return False
