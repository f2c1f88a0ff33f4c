"""The same behaviour over Postgres, RabbitMQ and Redis: only BROKER_URL differs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.acceptance.run_groups import ask, statuses
from tests.postgres import PostgresServer
from tests.stack.application import application
from tests.stack.deployment import Deployment, deployment_over
from tests.stack.services import Worker

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", params=["postgres", "amqp", "redis"])
def deployment(
    request: pytest.FixtureRequest, postgres: PostgresServer, template_database: str
) -> Iterator[Deployment]:
    with deployment_over(request.param, postgres, template_database) as running:
        yield running


@pytest.fixture(scope="module")
def worker(deployment: Deployment) -> Iterator[Worker]:
    """One for the module, with two processes."""
    environment = {"GATEWAY_LANE_CONCURRENCY": "5", "GATEWAY_LANE_SLICE_SECONDS": "0.2"}
    with deployment.worker(environment=environment) as running:
        yield running


def test_submitted_task_is_executed_once_and_leaves_nothing(deployment: Deployment, worker: Worker) -> None:
    task_id = deployment.client.submit("echo", "x")
    assert deployment.client.ended(task_id)["status"] == "SUCCESS"
    deployment.until_nothing_is_stored()
    worker.wait_for(rf"task_succeeded.*{task_id}")
    assert len(worker.lines(rf"task_succeeded.*{task_id}")) == 1


def test_the_callers_trace_goes_with_the_task_and_with_what_it_sends(deployment: Deployment, worker: Worker) -> None:
    origin = {"X-Request-Id": "my-request", "traceparent": f"00-{uuid4().hex}-00f067aa0ba902b7-01"}
    body = {"name": "tests.tell_origin", "args": [2]}
    task_id = deployment.client.http.post("/v1/tasks", json=body, headers=origin).json()["task_id"]
    assert deployment.client.ended(task_id)["result"] == list(origin.values())


def test_run_is_a_chord_of_lanes_and_settles(deployment: Deployment, worker: Worker) -> None:
    with application() as served:
        run_id = deployment.execute(served, [f"say {number}" for number in range(40)], concurrency=10)
        run = deployment.client.settled(run_id)
        assert sum(served.asked.values()) == 40
    assert (run["status"], run["passed"], run["total"]) == ("completed", 40, 40)
    assert deployment.client.ended(run["task_id"])["status"] == "SUCCESS"
    deployment.until_nothing_is_stored()


def test_group_is_a_chord_of_runs_and_settles(deployment: Deployment, worker: Worker) -> None:
    questions = tuple(f"say {number}" for number in range(5))
    with application() as served:
        submitted = ask(deployment.client, served.url, served.url, questions=questions)
        group = deployment.client.settled_group(submitted["run_group_id"])
        assert sum(served.asked.values()) == 10
    assert (group["status"], statuses(group)) == ("completed", ["completed", "completed"])
    worker.wait_for(rf"task_succeeded.*compare_runs.*{submitted['task_id']}")
    deployment.until_nothing_is_stored()


@pytest.mark.long
def test_chord_body_gets_the_parts_in_order(deployment: Deployment, worker: Worker) -> None:
    ended = deployment.client.ended(deployment.client.submit("tests.become_chord", 10))
    assert ended["result"] == {"parts": [2 * number for number in range(10)]}


@pytest.mark.long
def test_failing_task_is_tried_again(deployment: Deployment, worker: Worker) -> None:
    ended = deployment.client.ended(deployment.client.submit("tests.fail_then_succeed", 2))
    assert (ended["status"], ended["result"], ended["retries"]) == ("SUCCESS", 2, 2)


def test_task_that_is_submitted_with_a_priority_and_a_countdown_is_executed(
    deployment: Deployment, worker: Worker
) -> None:
    body = {"name": "echo", "args": ["x"], "priority": 9, "countdown": 0.5, "expires": 3600}
    task = deployment.client.ended(deployment.client.post("/v1/tasks", body)["task_id"])
    assert (task["status"], task["started_at"] >= task["eta"]) == ("SUCCESS", True)
    deployment.until_nothing_is_stored()


def test_task_with_an_eta_waits_in_the_database(deployment: Deployment, worker: Worker) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    task_id = deployment.send("echo", "due", eta=due)
    now_id = deployment.client.submit("echo", "now")
    assert deployment.client.ended(now_id)["status"] == "SUCCESS"
    assert deployment.stored(task_id) == [False]
    assert deployment.client.ended(task_id)["status"] == "SUCCESS"
    assert due <= deployment.started(task_id) <= due + timedelta(seconds=3)


def test_task_that_is_cancelled_while_it_waits_is_not_executed(deployment: Deployment, worker: Worker) -> None:
    busy = [deployment.client.submit("tests.hold", 1.0) for _ in range(2)]
    for task_id in busy:
        deployment.until_state(task_id, "STARTED")
    task_id = deployment.client.submit("echo", "x")
    worker.wait_for(rf"{task_id}\] received")
    assert deployment.client.post(f"/v1/tasks/{task_id}/cancel", {})["status"] == "REVOKED"
    after_id = deployment.client.submit("echo", "after")
    assert deployment.client.ended(after_id)["status"] == "SUCCESS"
    deployment.until_nothing_is_stored()
    worker.wait_for(rf"task_succeeded.*{after_id}")
    assert not worker.lines(rf"task_succeeded.*{task_id}")


@pytest.mark.long
def test_remote_control_reaches_the_worker(deployment: Deployment, worker: Worker) -> None:
    with deployment.app() as app:
        answers = app.control.ping(timeout=5, limit=1)
        stats = app.control.inspect(destination=[worker.name], timeout=5, limit=1).stats()
    assert answers == [{worker.name: {"ok": "pong"}}]
    assert stats is not None
    assert stats[worker.name]["pool"]["max-concurrency"] == 2
