"""Connections, servers and gateways that go away in the middle: runs settle, streams miss nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest

from gateway.embedded.postgres import EmbeddedPostgres
from tests.acceptance.gsm8k import configure, counts, expected, passed_among
from tests.postgres import TestDatabase
from tests.stack.client import Client, StreamEvent, new_client
from tests.stack.services import Gateway, RecordedEndpoint, Worker
from tests.waiting import until
from workerapp.app import make_app
from workerapp.contract.tasks import EXECUTE_TEST_CONFIGURATION as EXECUTE
from workerapp.contract.tasks import TEST_RUN_HEADER
from workerapp.db.migrations.migrate import upgrade
from workerapp.execution.plan import LanePlan
from workerapp.settings import WorkerSettings
from workerapp.tasks.test_run import lane_signature

SOME = 300


@pytest.fixture(scope="module")
def slow(shared: Path) -> Iterator[RecordedEndpoint]:
    with RecordedEndpoint(shared, "--latency-ms", "100") as running:
        yield running


class Follower(threading.Thread):
    """A client that follows a run to its end, as an EventSource does: it comes back with its last cursor."""

    def __init__(self, client: Client, run_id: str) -> None:
        super().__init__(daemon=True)
        self._client, self._path = client, f"/v1/test-runs/{run_id}/events"
        self.events: list[StreamEvent] = []
        self.connections = 0

    def run(self) -> None:
        cursor = "0"
        while not self.ended():
            self.connections += 1
            try:
                for event in self._client.events(self._path, cursor=cursor):
                    if event.kind == "message":
                        self.events.append(event)
                        cursor = event.cursor
            except httpx.HTTPError:
                continue

    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].type == "test_run.completed"

    def assert_nothing_missed_and_nothing_twice(self) -> None:
        self.join(30)
        assert self.ended()
        assert [event.seq for event in self.events] == list(range(1, len(self.events) + 1))
        finished = [event.body["data"]["position"] for event in self.events if event.type == "test_result.finished"]
        assert sorted(finished) == list(range(SOME))


def test_a_run_settles_although_every_connection_to_the_database_is_cut(
    client: Client, worker: Worker, shared: Path, slow: RecordedEndpoint, admin: psycopg.Connection
):
    run_id = client.execute(configure(client, shared, slow.url, total=SOME))
    follower = Follower(client, run_id)
    follower.start()
    for share in (0.2, 0.6):
        until(lambda share=share: len(follower.events) > SOME * share)
        cut_all_connections(admin)
    follower.assert_nothing_missed_and_nothing_twice()
    assert counts(client.run(run_id)) == expected("completed", passed=passed_among(shared, SOME), total=SOME)
    until(lambda: client.http.get("/readyz").status_code == 200)


def test_a_stream_goes_on_behind_its_cursor_when_the_gateway_was_killed(
    client: Client, worker: Worker, shared: Path, slow: RecordedEndpoint, gateway: Gateway
):
    run_id = client.execute(configure(client, shared, slow.url, total=SOME))
    follower = Follower(client, run_id)
    follower.start()
    until(lambda: len(follower.events) > SOME * 0.2)
    gateway.restart()
    follower.assert_nothing_missed_and_nothing_twice()
    assert follower.connections > 1


def test_messages_of_a_run_that_come_again_do_nothing(
    client: Client, worker: Worker, shared: Path, module_database: TestDatabase, admin: psycopg.Connection
):
    with RecordedEndpoint(shared) as endpoint:
        configuration = configure(client, shared, endpoint.url, total=SOME)
        run_id = client.execute(configuration)
        before = client.settled(run_id)
        events = list(client.events(f"/v1/test-runs/{run_id}/events", cursor="0"))
        ((number, lane_task),) = admin.execute("SELECT number, task_id FROM lane WHERE test_run_id = %s", (run_id,))
        received = [rf"run_lane\[{lane_task}\] received", rf"{EXECUTE}\[{before['task_id']}\] received"]
        seen = [len(worker.lines(pattern)) for pattern in received]
        app = make_app(WorkerSettings(database_url=module_database.url))
        app.set_current()
        headers = {"organization_id": client.organization_id, TEST_RUN_HEADER: run_id}
        lane = lane_signature(LanePlan(test_run_id=UUID(run_id), number=number, task_id=lane_task))
        for _ in range(2):
            lane.apply_async(headers=headers)
            app.send_task(EXECUTE, (configuration, run_id), task_id=before["task_id"], headers=headers)
        app.close()
        until(lambda: [len(worker.lines(pattern)) for pattern in received] == [count + 2 for count in seen])
        until(lambda: admin.execute("SELECT count(*) FROM broker_message WHERE queue = 'celery'").fetchone() == (0,))
        stats = httpx.get(endpoint.stats_url).json()
    assert stats["questions_asked"] == stats["answered"] == SOME
    assert client.run(run_id) == before
    assert list(client.events(f"/v1/test-runs/{run_id}/events", cursor="0")) == events
    assert admin.execute("SELECT count(*) FROM lane WHERE test_run_id = %s", (run_id,)).fetchone() == (1,)


def test_revoking_the_submitted_task_cancels_the_run(
    client: Client, worker: Worker, shared: Path, slow: RecordedEndpoint, admin: psycopg.Connection
):
    run_id = client.execute(configure(client, shared, slow.url, total=SOME, concurrency=5))
    until(lambda: client.run(run_id)["passed"] > 0)
    task_id = client.run(run_id)["task_id"]
    admin.execute("UPDATE task SET state = 'REVOKED' WHERE id = %s", (task_id,))
    run = client.settled(run_id, seconds=10)
    assert (run["status"], run["pending"], run["errored"]) == ("cancelled", 0, 0)
    assert run["cancelled"] > 0
    assert run["passed"] + run["failed"] + run["cancelled"] == SOME
    assert client.task(task_id)["status"] == "REVOKED"


def test_a_database_that_comes_late_and_goes_away_is_waited_for(data_dir: Path):
    with EmbeddedPostgres(data_dir, durable=False) as server:
        upgrade(server.address)
        database = TestDatabase(url=server.address, admin_url=server.address)
    with Gateway(database, ready=False) as gateway, Worker(database, ready=False) as worker:
        gateway.wait_for("database_unavailable")
        assert readiness(gateway) == (503, "database_unavailable")
        with EmbeddedPostgres(data_dir, durable=False):
            until(lambda: readiness(gateway)[0] == 200)
            with new_client(database, gateway.url, "late") as client:
                assert client.ended(client.submit("echo", "x"), seconds=30)["status"] == "SUCCESS"
        until(lambda: readiness(gateway)[0] == 503)
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200
        with EmbeddedPostgres(data_dir, durable=False):
            until(lambda: readiness(gateway)[0] == 200)
            with new_client(database, gateway.url, "late") as client:
                assert client.ended(client.submit("echo", "x"), seconds=30)["status"] == "SUCCESS"
        for process in (gateway, worker):
            assert not process.lines("Traceback"), process.output()


def readiness(gateway: Gateway) -> tuple[int, str | None]:
    answer = httpx.get(f"{gateway.url}/readyz")
    return answer.status_code, answer.json().get("code")


def cut_all_connections(admin: psycopg.Connection) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
