"""Our own gateway: a process with a database of its own, and a writer that commits progress as a worker does."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from tests.bench.streams import payload
from tests.bench.streams.subjects import paced
from tests.postgres import TestDatabase
from tests.records import act_for, add_task, connect
from tests.stack.client import new_client
from tests.stack.services import Gateway
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.db.address import DatabaseAddress
from workerapp.db.hints import Hints

UPDATE = "UPDATE task SET progress = %s WHERE id = %s"


class OurGateway(Gateway):
    """`gateway serve`; each event is an update of a task's row, committed, and a hint as the worker sends it."""

    def __init__(self, database: TestDatabase, *, clients_per_task: int | None = None, path: str | None = None) -> None:
        roomy = {"GATEWAY_STREAM__MAX_STREAMS_PER_ORGANIZATION": "100000", "GATEWAY_STREAM__MAX_STREAMS": "100000"}
        super().__init__(database, environment={"GATEWAY_LOG_LEVEL": "WARNING", **roomy})
        self._database = database
        self._clients_per_task = clients_per_task
        self._path = path
        self._tasks: list[str] = []
        self._next = 0

    def start(self) -> None:
        super().start()
        with new_client(self._database, self.url, "streams") as client:
            self.header = f"Authorization: Bearer {client.key}"
            self._organization_id = UUID(client.organization_id)
        self._writer: psycopg.Connection[Any] = connect(self._database.admin_url)
        self._hints = Hints(DatabaseAddress.parse(self._database.url))

    def stop(self) -> None:
        super().stop()
        self._hints.close()
        self._writer.close()

    @property
    def server(self) -> int:
        return self.pid

    def paths(self, clients: int) -> Sequence[str]:
        act_for(self._writer, self._organization_id)
        self._tasks = [add_task(self._writer, self._organization_id) for _ in range(clients // self.receivers(clients))]
        return [self._path] if self._path else [f"/v1/tasks/{task}/events?after=0" for task in self._tasks]

    def receivers(self, clients: int) -> int:
        return min(clients, self._clients_per_task or clients)

    def publish(self, moments: Sequence[float]) -> None:
        for _ in paced(moments):
            task = self._tasks[self._next % len(self._tasks)]
            self._writer.execute(UPDATE, (json.dumps(payload.progress(time.time())), task))
            self._hints.news(EVENT_CHANNEL)
            self._next += 1
