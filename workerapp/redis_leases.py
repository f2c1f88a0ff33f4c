"""With Redis as the broker: what a worker holds stays its own while it lives, however long a task takes.

kombu gives a message back when the visibility timeout has passed since its delivery, though the task may still run.
Here the time counts from the last renewal: a long task runs once, a dead worker's tasks come back within one timeout.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks

logger = logging.getLogger(__name__)


class RedisLeases(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Renews three times in each visibility timeout, from the worker's timer."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        period = consumer.app.settings.visibility_timeout / 3
        self._timer = consumer.timer.call_repeatedly(period, renew, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def renew(consumer: Any) -> None:
    """Count anew for every message this worker holds; one that is settled meanwhile is not brought back."""
    channel = consumer.task_consumer and consumer.task_consumer.channel
    held = list(channel.qos._delivered) if channel else []  # noqa: SLF001 - kombu keeps them nowhere else
    if not held:
        return
    try:
        with channel.conn_or_acquire() as client:
            client.zadd(channel.unacked_index_key, dict.fromkeys(held, time.time()), xx=True)
    except channel.connection_errors as error:
        logger.warning("redis_leases_not_renewed", extra={"error": type(error).__name__})
