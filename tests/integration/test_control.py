"""Control of a real worker through Postgres: tasks are stopped while they run, runs in the middle of their requests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.auth.keyring import create_key, create_organization, open_keyring
from tests.postgres import TestDatabase
from tests.records import connect
from tests.stack.application import Application, application
from tests.stack.client import Client, new_client
from tests.stack.services import Gateway, Worker
from tests.waiting import until
from workerapp.db.address import DatabaseAddress
from workerapp.repair import REPAIR
from workerapp.retention import RETENTION

#: What "within about a second" may take on a busy machine.
SOON = 2.0
#: Of a worker that shares its work with no other.
QUEUE = "apart"
ENDPOINT: dict[str, Any] = {"request": {"input": "{{ input }}"}, "response": {"output": "$.output"}, "timeout": 60}


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    with Gateway(module_database, environment={"GATEWAY_TASK_QUEUES": QUEUE}) as running:
        yield running


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    several_lanes = {"GATEWAY_LANE_CONCURRENCY": "2"}
    with Worker(module_database, environment={"GATEWAY_REPORT_SECONDS": "0.5", **several_lanes}) as running:
        yield running


@pytest.fixture(scope="module")
def client(module_database: TestDatabase, gateway: Gateway, worker: Worker) -> Iterator[Client]:
    with new_client(module_database, gateway.url, "control") as made:
        yield made


@pytest.fixture(scope="module")
def operator(module_database: TestDatabase, gateway: Gateway) -> Iterator[Client]:
    """A key with the scope `admin`, of an organization that has nothing."""
    with open_keyring(DatabaseAddress.parse(module_database.admin_url)) as connection:
        organization_id = create_organization(connection, "operators")
        key = create_key(connection, organization_id, "operator", ["admin"])
    with Client(gateway.url, key.secret, str(organization_id)) as made:
        yield made


@pytest.fixture
def admin(module_database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(module_database.admin_url) as connection:
        yield connection


def begun(client: Client, task_id: str) -> str:
    until(lambda: client.task(task_id)["status"] == "STARTED")
    return task_id


def active(operator: Client, task_id: str) -> dict[str, Any] | None:
    found = [item for item in operator.get("/v1/admin/tasks")["items"] if item["task_id"] == task_id]
    return found[0] if found else None


def alive(pid: int) -> bool:
    """Whether a process executes anything; one that has ended may still wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_running_task_is_terminated_and_its_worker_lives(client: Client, operator: Client, worker: Worker) -> None:
    task_id = begun(client, client.submit("tests.hold", 60))
    found = until(lambda: active(operator, task_id)) or {}
    assert (found["organization_id"], found["organization"]) == (client.organization_id, "control")
    assert (found["node"], found["name"], found["status"]) == (worker.name, "tests.hold", "STARTED")
    assert found["pid"] in worker.children()
    assert 0 <= found["age_seconds"] < 30
    began = time.monotonic()
    assert operator.post(f"/v1/admin/tasks/{task_id}/terminate", None)["status"] == "REVOKED"
    until(lambda: not alive(found["pid"]), SOON)
    assert time.monotonic() - began < SOON
    task = client.task(task_id)
    assert (task["status"], task["error"]) == ("REVOKED", "The task was terminated.")
    until(lambda: active(operator, task_id) is None)
    assert client.ended(client.submit("echo", "after"))["status"] == "SUCCESS"


def test_a_caller_cancels_a_task_that_runs(client: Client, operator: Client, worker: Worker) -> None:
    task_id = begun(client, client.submit("tests.hold", 60))
    pid = int((until(lambda: active(operator, task_id)) or {})["pid"])
    assert client.post(f"/v1/tasks/{task_id}/cancel", None)["status"] == "REVOKED"
    until(lambda: not alive(pid), SOON)
    worker.wait_for(f"task_stopped.*{task_id}")
    assert client.post(f"/v1/tasks/{task_id}/cancel", None) == client.task(task_id)
    assert client.ended(client.submit("echo", "after"))["status"] == "SUCCESS"


def test_a_task_is_stopped_although_the_hint_was_lost(
    client: Client, worker: Worker, admin: psycopg.Connection
) -> None:
    task_id = begun(client, client.submit("tests.hold", 60))
    admin.execute("SELECT admin_end_task(%s, true)", (task_id,))
    worker.wait_for(f"task_stopped task_id={task_id}", 5)


def test_a_task_that_runs_is_not_revoked_without_being_terminated(client: Client, operator: Client) -> None:
    task_id = begun(client, client.submit("tests.hold", 1))
    response = operator.http.post(f"/v1/admin/tasks/{task_id}/revoke")
    assert (response.status_code, response.json()["status"]) == (202, "STARTED")
    assert client.ended(task_id)["result"] == "held"


def test_a_task_that_a_worker_has_fetched_and_not_begun_is_not_executed(
    module_database: TestDatabase, client: Client, worker: Worker, admin: psycopg.Connection
) -> None:
    running = [begun(client, client.submit("tests.hold", 2)) for _ in range(2)]
    waiting = client.submit("tests.hold", 30)
    fetched = "SELECT leased_by IS NOT NULL FROM broker_message WHERE task_id = %s"
    until(lambda: admin.execute(fetched, (waiting,)).fetchone() == (True,))
    assert client.post(f"/v1/tasks/{waiting}/cancel", None)["status"] == "REVOKED"
    worker.wait_for(f"task_stopped task_id={waiting}.*began=False")
    assert [client.ended(task_id)["status"] for task_id in running] == ["SUCCESS"] * 2
    worker.wait_for(f"task_stopped task_id={waiting}")
    assert len(worker.lines(f"task_stopped task_id={waiting}")) == 1
    # Nothing of it holds up what comes after it.
    after = [client.submit("tests.hold", 0.1) for _ in range(4)]
    assert {client.ended(task_id, seconds=5)["status"] for task_id in after} == {"SUCCESS"}


def test_a_revoked_task_does_not_begin_although_its_worker_was_never_told(
    module_database: TestDatabase, client: Client, admin: psycopg.Connection
) -> None:
    deaf = {"GATEWAY_DEFAULT_QUEUE": QUEUE, "GATEWAY_REPORT_SECONDS": "3600"}
    with Worker(module_database, concurrency=1, environment=deaf) as worker:
        busy = client.post("/v1/tasks", {"name": "tests.hold", "args": [1], "queue": QUEUE})["task_id"]
        revoked = client.post("/v1/tasks", {"name": "tests.hold", "args": [0.1], "queue": QUEUE})["task_id"]
        worker.wait_for(f"{revoked}\\] received")
        admin.execute("SELECT admin_end_task(%s, true)", (revoked,))
        worker.wait_for(f"task_not_executed .*task_id={revoked}")
        after = client.post("/v1/tasks", {"name": "tests.hold", "args": [0.1], "queue": QUEUE})["task_id"]
        assert [client.ended(task_id)["status"] for task_id in (busy, revoked, after)] == [
            "SUCCESS",
            "REVOKED",
            "SUCCESS",
        ]
        assert not worker.lines(f"task_succeeded .*{revoked}")


def test_a_worker_that_stops_still_terminates_what_it_waits_for(module_database: TestDatabase, client: Client) -> None:
    with Worker(module_database, concurrency=1, environment={"GATEWAY_DEFAULT_QUEUE": QUEUE}) as stopping:
        held = client.post("/v1/tasks", {"name": "tests.hold", "args": [60], "queue": QUEUE})["task_id"]
        begun(client, held)
        os.kill(stopping.pid, signal.SIGTERM)
        stopping.wait_for("Warm shutdown")
        client.post(f"/v1/tasks/{held}/cancel", None)
        stopping.wait_for(f"task_stopped task_id={held}", 5)
        until(lambda: not alive(stopping.pid), 10)


def test_the_events_of_a_cancelled_task_end_with_its_revocation(client: Client) -> None:
    task_id = begun(client, client.submit("tests.hold", 60))
    client.post(f"/v1/tasks/{task_id}/cancel", None)
    events = list(client.events(f"/v1/tasks/{task_id}/events", cursor="0"))
    assert [event.type for event in events] == ["task.pending", "task.started", "task.revoked"]


@pytest.fixture
def app() -> Iterator[Application]:
    with application() as running:
        yield running


def configure(client: Client, app: Application, questions: list[str], **configuration: Any) -> str:
    tests = [{"input": question, "expected": question.removeprefix("say ")} for question in questions]
    endpoint = ENDPOINT | {"url": app.url}
    return client.configure(
        endpoint=endpoint, tests=tests, metrics=[{"type": "equals"}], per_test_timeout=60, **configuration
    )


def test_a_cancelled_run_ends_its_requests_and_keeps_its_results(client: Client, app: Application) -> None:
    questions = [*(f"say {number}" for number in range(20)), *["wait"] * 45]
    run_id = client.execute(configure(client, app, questions, concurrency=4))
    # Four requests wait, so nothing else can begin.
    until(lambda: app.asked["wait"] == 4 and client.run(run_id)["passed"] == 20)
    began = time.monotonic()
    response = client.http.post(f"/v1/test-runs/{run_id}/cancel")
    assert response.status_code == 202
    assert response.json()["cancel_requested_at"] is not None
    run = client.settled(run_id, seconds=SOON)
    assert time.monotonic() - began < SOON
    assert (run["status"], run["total"], run["passed"], run["cancelled"], run["pending"]) == (
        "cancelled",
        65,
        20,
        45,
        0,
    )
    app.gate.set()
    assert sum(app.asked.values()) == 24
    assert client.task(run["task_id"])["status"] == "REVOKED"
    again = client.http.post(f"/v1/test-runs/{run_id}/cancel")
    assert (again.status_code, again.json()) == (200, run)
    kinds = [event.type for event in client.events(f"/v1/test-runs/{run_id}/events", cursor="0")]
    assert kinds[-1] == "test_run.cancelled"
    assert kinds.count("test_result.finished") == 65


def test_every_lane_of_a_cancelled_run_keeps_what_it_has(
    client: Client, app: Application, admin: psycopg.Connection
) -> None:
    """Lanes record what they have finished before the last of them settles the run."""
    run_id = client.execute(configure(client, app, [f"say {number}" for number in range(3000)], concurrency=4))
    until(lambda: client.run(run_id)["passed"] > 20)
    client.post(f"/v1/test-runs/{run_id}/cancel", None)
    run = client.settled(run_id, seconds=2 * SOON)
    assert (run["status"], run["pending"], run["failed"], run["errored"]) == ("cancelled", 0, 0, 0)
    assert 20 < run["passed"] < 3000
    assert run["passed"] + run["cancelled"] == 3000
    # What was answered is kept, but for the requests that were under way.
    assert run["passed"] >= sum(app.asked.values()) - 4
    assert admin.execute("SELECT count(*) FROM lane WHERE test_run_id = %s", (run_id,)).fetchone() == (2,)
    assert [result["status"] for result in client.results(run_id)].count("pass") == run["passed"]


def test_a_finished_run_is_answered_as_it_is(client: Client, app: Application) -> None:
    run_id = client.execute(configure(client, app, ["say 1"]))
    run = client.settled(run_id)
    answer = client.http.post(f"/v1/test-runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()) == (200, run)
    assert run["status"] == "completed"


def test_the_task_of_a_run_cancels_the_run(client: Client, app: Application) -> None:
    run_id = client.execute(configure(client, app, ["wait"] * 3))
    app.is_waiting.wait(10)
    task_id = client.run(run_id)["task_id"]
    assert client.http.post(f"/v1/tasks/{task_id}/cancel").status_code == 202
    assert client.settled(run_id, seconds=SOON)["status"] == "cancelled"


def test_a_revoked_member_of_a_chord_ends_the_whole(
    client: Client, operator: Client, admin: psycopg.Connection
) -> None:
    """Nobody waits for ever for what an operator has stopped."""
    task_id = client.submit("tests.become_chord_of_waiting", 60)
    members = until(lambda: group_members(admin, client.organization_id))
    operator.post(f"/v1/admin/tasks/{members[0]}/terminate", None)
    task = client.ended(task_id, seconds=20)
    assert (task["status"], task["error_type"]) == ("FAILURE", "ChordError")


def group_members(admin: psycopg.Connection, organization_id: str) -> list[str]:
    rows = admin.execute(
        "SELECT id FROM task WHERE organization_id = %s AND name = 'tests.wait_for_it' AND state = 'PENDING'",
        (organization_id,),
    )
    return [row[0] for row in rows.fetchall()]


def test_workers_are_listed_and_leave_when_they_end(
    module_database: TestDatabase, operator: Client, worker: Worker
) -> None:
    with Worker(module_database, concurrency=3) as other:
        listed = {item["node"]: item for item in operator.get("/v1/admin/workers")["items"]}
        assert set(listed) >= {worker.name, other.name}
        assert listed[other.name]["pid"] == other.pid
        assert (listed[other.name]["pool"], listed[other.name]["concurrency"]) == ("prefork", 3)
        assert (listed[other.name]["queues"], listed[other.name]["is_alive"]) == (["celery"], True)
        other.stop()
        assert other.name not in {item["node"] for item in operator.get("/v1/admin/workers")["items"]}


def test_a_worker_that_was_killed_counts_as_dead(
    module_database: TestDatabase, gateway: Gateway, operator: Client, admin: psycopg.Connection
) -> None:
    with Worker(module_database) as other:
        until(lambda: other.name in {item["node"] for item in operator.get("/v1/admin/workers")["items"]})
        other.kill()
        admin.execute("UPDATE worker_heartbeat SET at = now() - interval '1 minute' WHERE node = %s", (other.name,))
        listed = {item["node"]: item["is_alive"] for item in operator.get("/v1/admin/workers")["items"]}
        assert listed[other.name] is False


def test_the_sweeper_tells_what_it_does(operator: Client, worker: Worker) -> None:
    def steps() -> set[str]:
        return {step["step"] for step in operator.get("/v1/admin/sweeper")["steps"]}

    until(lambda: steps() == {step.name for step in (*REPAIR, *RETENTION)})
    assert operator.get("/v1/admin/sweeper")["swept_at"] is not None
