"""What a worker tells of itself every few seconds: where it runs, what it consumes, and which tasks it holds."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from celery.worker import state
from psycopg.types.json import Jsonb

REPORT = "SELECT worker_report(%s, %s, %s, %s, %s, %s, %s)"
LEFT = "SELECT worker_left(%s, %s)"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One worker's row, kept through a connection of the caller's."""

    worker: Any
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def report(self, connection: psycopg.Connection[tuple[Any, ...]]) -> list[str]:
        """Write the row; answers the ids of the tasks that this worker has to stop."""
        row = (
            self.worker.hostname,
            os.getpid(),
            self.started_at,
            self.worker.pool_cls.__module__.rpartition(".")[2],
            self.worker.concurrency,
            sorted(self.worker.app.amqp.queues.consume_from),
            Jsonb([_task(request) for request in list(state.requests.values())]),
        )
        return [task_id for (task_id,) in connection.execute(REPORT, row)]

    def leave(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Remove the row: this worker ends."""
        connection.execute(LEFT, (self.worker.hostname, self.started_at))


def _task(request: Any) -> dict[str, Any]:
    """A task that this worker holds; one that has not begun has no start."""
    began = request.time_start
    return {
        "id": request.id,
        "name": request.name,
        "started_at": None if began is None else datetime.fromtimestamp(began, UTC).isoformat(),
        "pid": request.worker_pid,
    }
