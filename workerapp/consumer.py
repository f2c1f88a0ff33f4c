"""Celery's consumer, watched: its event loop tells that it turns, and waiting for the broker is no standing still."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.worker.consumer import Consumer as CelerysConsumer

#: So often the loop says that it turns.
TICK_SECONDS = 1.0


class Consumer(CelerysConsumer):  # type: ignore[misc]  # Celery has no types
    """What `worker_consumer` names."""

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for the broker, however long that takes."""
        with self.app.pulse.waiting_for_broker():
            return super().ensure_connected(conn)


class Ticking(bootsteps.StartStopStep):  # type: ignore[misc]  # the same
    """Begins again with each connection, because Celery empties its loop when one is lost.

    Without an event loop (gevent) timers run in a thread of their own and tell nothing. A solo pool executes tasks in
    the loop: it stands still for as long as each of them takes.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._entry: Any = None

    def include_if(self, consumer: Any) -> bool:
        return bool(consumer.hub) and not consumer.pool.is_green and consumer.pool.__module__ != _SOLO

    def start(self, consumer: Any) -> None:
        pulse = consumer.app.pulse
        pulse.loop()
        self._entry = consumer.timer.call_repeatedly(TICK_SECONDS, pulse.loop)

    def stop(self, consumer: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()

    terminate = stop


_SOLO = "celery.concurrency.solo"
