"""A gateway and its database over one broker, and the workers a test starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from tests.postgres import PostgresServer, copied_database
from tests.postgres import TestDatabase as Database
from tests.records import connect
from tests.stack.application import Application
from tests.stack.broker_servers import BrokerServer
from tests.stack.brokers import Broker, running_broker, served_broker
from tests.stack.client import Client, new_client
from tests.stack.services import Gateway, Worker
from tests.waiting import until
from workerapp.app import WorkerApp, make_app
from workerapp.settings import load_worker_settings

#: A message is looked for when nobody has begun it for so long.
SHORT_WAITS = {"GATEWAY_BROKER_LOST_SECONDS": "3"}


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a test has of it."""

    broker: Broker
    database: Database
    client: Client
    admin: psycopg.Connection

    def worker(self, *, environment: dict[str, str] | None = None, **options: Any) -> Worker:
        return Worker(
            self.database, environment={**self.broker.environment, **SHORT_WAITS, **(environment or {})}, **options
        )

    @contextmanager
    def app(self) -> Iterator[WorkerApp]:
        """The worker's app, as another part of an application uses it."""
        broker = {"broker_url": self.broker.url} if self.broker.environment else {}
        app = make_app(load_worker_settings(database_url=self.database.url, _env_file=None, **broker))
        yield app
        app.close()

    def send(self, task: str, *arguments: Any, **options: Any) -> str:
        headers = {"organization_id": self.client.organization_id}
        with self.app() as app:
            return str(app.send_task(task, args=arguments, headers=headers, **options).id)

    def execute(self, application: Application, questions: list[str], **configuration: Any) -> str:
        """Start a run; its id."""
        tests = [{"input": question, "expected": question.removeprefix("say ")} for question in questions]
        endpoint = {
            "url": application.url,
            "request": {"input": "{{ input }}"},
            "response": {"output": "$.output"},
        }
        configuration |= {"metrics": [{"type": "equals"}]}
        return self.client.execute(self.client.configure(endpoint=endpoint, tests=tests, **configuration))

    def started(self, task_id: str) -> datetime:
        row = self.admin.execute("SELECT started_at FROM task WHERE id = %s", (task_id,)).fetchone()
        assert row is not None
        assert isinstance(row[0], datetime)
        return row[0]

    def stored(self, task_id: str) -> list[bool]:
        """The stored messages of a task: whether another broker has them."""
        found = self.admin.execute(
            "SELECT published_at IS NOT NULL FROM broker_message WHERE task_id = %s", (task_id,)
        ).fetchall()
        return [row[0] for row in found]

    def until_state(self, task_id: str, state: str, seconds: float = 15) -> None:
        until(lambda: self.client.task(task_id)["status"] == state, seconds)

    def until_nothing_is_stored(self) -> None:
        until(
            lambda: (
                self.admin.execute("SELECT count(*) FROM broker_message WHERE task_id IS NOT NULL").fetchone() == (0,)
            )
        )


@contextmanager
def deployment_over(
    kind: str, postgres: PostgresServer, template: str, server: BrokerServer | None = None
) -> Iterator[Deployment]:
    """`server` is a broker of the test's own, instead of the usual one of this kind."""
    with (
        copied_database(postgres, template) as database,
        running_broker(kind, database) if server is None else served_broker(kind, server) as broker,
        Gateway(database, environment={**broker.environment, "GATEWAY_LOG_LEVEL": "WARNING"}) as gateway,
        new_client(database, gateway.url, "matrix") as client,
        connect(database.admin_url) as admin,
    ):
        yield Deployment(broker=broker, database=database, client=client, admin=admin)
