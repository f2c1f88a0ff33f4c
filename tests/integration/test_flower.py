"""The real Flower over the Postgres broker: its API tells the workers and the tasks."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.postgres import TestDatabase
from tests.records import add_organization, connect
from tests.stack.process import Process
from tests.stack.services import Worker, free_port, shared_environment
from tests.waiting import ended_task, until
from workerapp.app import make_app
from workerapp.contract.caller import ORGANIZATION_HEADER
from workerapp.settings import WorkerSettings

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("flower") is None,
    reason="Flower is not installed: pip install 'task-status-gateway[flower]'",
)


@pytest.fixture
def worker(database: TestDatabase) -> Iterator[Worker]:
    with Worker(database) as running:
        yield running


@pytest.fixture
def flower(database: TestDatabase, worker: Worker) -> Iterator[httpx.Client]:
    port = free_port()
    arguments = ["-m", "celery", "-A", "workerapp", "flower", "--address=127.0.0.1", f"--port={port}"]
    environment = shared_environment(database) | {"FLOWER_UNAUTHENTICATED_API": "true"}
    with (
        Process("flower", arguments, environment),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client,
    ):
        until(lambda: answers(client), 30)
        yield client


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthcheck").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def send(database: TestDatabase, organization_id: UUID, message: str) -> str:
    app = make_app(WorkerSettings(database_url=database.url))
    headers = {ORGANIZATION_HEADER: str(organization_id)}
    task_id = str(app.send_task("echo", (message,), headers=headers).id)
    app.close()
    return task_id


def test_workers_and_tasks_are_told(database: TestDatabase, worker: Worker, flower: httpx.Client) -> None:
    until(lambda: worker.name in flower.get("/api/workers", params={"refresh": "true"}).json(), 30)
    told = flower.get("/api/workers").json()[worker.name]
    assert [queue["name"] for queue in told["active_queues"]] == ["celery"]
    assert "echo" in told["registered"]
    with connect(database.admin_url) as admin:
        organization_id = add_organization(admin)
        # Flower turns events on when it has started; a task that ran before is not told.
        until(lambda: events_are_on(database, admin, organization_id, flower), 30, pause=0.2)


def events_are_on(
    database: TestDatabase, admin: psycopg.Connection, organization_id: UUID, flower: httpx.Client
) -> bool:
    task_id = send(database, organization_id, "for Flower")
    assert ended_task(admin, task_id) == "SUCCESS"
    told = flower.get("/api/tasks").json().get(task_id, {})
    return bool(told.get("name") == "echo" and told.get("state") == "SUCCESS")
