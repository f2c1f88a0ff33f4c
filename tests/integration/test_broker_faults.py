"""Workers that die, brokers that forget, connections that break: the same outcome over Postgres, RabbitMQ and Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer
from tests.stack.application import Application, application
from tests.stack.deployment import Deployment, deployment_over
from tests.waiting import until

pytestmark = pytest.mark.server

QUEUE = "celery"
SOME = [f"say {number}" for number in range(20)]


@pytest.fixture(scope="module", params=["postgres", "amqp", "redis"])
def deployment(
    request: pytest.FixtureRequest, postgres: PostgresServer, template_database: str
) -> Iterator[Deployment]:
    with deployment_over(request.param, postgres, template_database) as running:
        yield running


@pytest.fixture
def served() -> Iterator[Application]:
    with application() as running:
        yield running


def test_what_was_committed_and_never_passed_on_is_executed(deployment: Deployment) -> None:
    """As when the gateway is killed between the commit and anything that follows it."""
    task_ids = [deployment.client.submit("echo", f"{number}") for number in range(20)]
    assert [deployment.stored(task_id) for task_id in task_ids] == [[False]] * 20
    with deployment.worker():
        for task_id in task_ids:
            assert deployment.client.ended(task_id)["status"] == "SUCCESS"


@pytest.mark.long
def test_killed_workers_task_is_executed_by_another(deployment: Deployment) -> None:
    with deployment.worker(concurrency=1) as first:
        task_id = deployment.client.submit("tests.hold", 1.0)
        deployment.until_state(task_id, "STARTED")
        first.kill()
        with deployment.worker(concurrency=1) as second:
            deployment.until_state(task_id, "SUCCESS", seconds=30)
            assert second.lines(rf"task_succeeded.*{task_id}")


@pytest.mark.long
def test_task_that_loses_its_worker_too_often_ends_with_the_reason(deployment: Deployment) -> None:
    once = {"GATEWAY_MAX_READS": "1"}
    with deployment.worker(concurrency=1, environment=once) as first:
        task_id = deployment.client.submit("tests.hold", 30)
        deployment.until_state(task_id, "STARTED")
        first.kill()
        with deployment.worker(concurrency=1, environment=once):
            ended = deployment.client.ended(task_id, seconds=30)
    assert (ended["status"], ended["error_type"]) == ("FAILURE", "PoisonMessage")
    assert "its worker was lost each time" in ended["error"]


@pytest.mark.long
def test_task_longer_than_the_visibility_timeout_is_delivered_once(deployment: Deployment) -> None:
    short = {"GATEWAY_VISIBILITY_TIMEOUT": "1"}
    with (
        deployment.worker(concurrency=1, environment=short) as one,
        deployment.worker(concurrency=1, environment=short) as two,
    ):
        task_id = deployment.client.submit("tests.hold", 3.5)
        deployment.until_state(task_id, "SUCCESS")
        assert len(one.lines(rf"{task_id}\] received") + two.lines(rf"{task_id}\] received")) == 1


@pytest.mark.long
def test_run_settles_although_its_worker_was_killed(deployment: Deployment, served: Application) -> None:
    with deployment.worker() as first:
        run_id = deployment.execute(served, [*SOME, "wait"], concurrency=4)
        assert served.is_waiting.wait(15)
        first.kill()
        served.gate.set()
        with deployment.worker():
            run = deployment.client.settled(run_id)
    assert (run["status"], run["passed"], run["total"]) == ("completed", 21, 21)


@pytest.mark.long
def test_work_goes_on_when_the_connections_to_the_broker_are_cut(deployment: Deployment, served: Application) -> None:
    with deployment.worker(environment={"GATEWAY_LANE_SLICE_SECONDS": "0.3"}):
        run_id = deployment.execute(served, [*SOME, "wait"], concurrency=4)
        assert served.is_waiting.wait(15)
        assert deployment.broker.cut_connections(deployment.admin) > 0
        task_id = deployment.client.submit("echo", "after")
        served.gate.set()
        run = deployment.client.settled(run_id)
        assert (run["status"], run["passed"], run["total"]) == ("completed", 21, 21)
        assert deployment.client.ended(task_id)["status"] == "SUCCESS"


@pytest.mark.long
def test_messages_the_broker_has_lost_are_published_again(deployment: Deployment) -> None:
    if deployment.broker.kind == "postgres":
        pytest.skip("the queue is in the database, with everything else")
    task_ids = [deployment.client.submit("echo", f"{number}") for number in range(20)]
    with deployment.worker(concurrency=1, environment={"CELERY_WORKER_PREFETCH_MULTIPLIER": "1"}) as worker:
        task_ids.append(deployment.client.submit("tests.hold", 30.0))
        task_ids += [deployment.client.submit("echo", f"{number}") for number in range(20)]
        deployment.until_state(task_ids[20], "STARTED")
        until(lambda: all(deployment.stored(task_id) == [True] for task_id in task_ids[21:]))
        worker.kill()
    until(lambda: deployment.broker.waiting(QUEUE) > 0)
    deployment.broker.lose_everything(QUEUE)
    with deployment.worker() as worker:
        for task_id in task_ids[21:]:
            assert deployment.client.ended(task_id, seconds=30)["status"] == "SUCCESS"
            until(lambda: worker.lines(rf"task_succeeded.*{task_id}"))  # noqa: B023 - called at once
            worker.wait_for(rf"task_succeeded.*{task_id}")
            assert len(worker.lines(rf"task_succeeded.*{task_id}")) == 1
