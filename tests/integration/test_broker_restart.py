"""A broker that is killed and started again, while messages wait in it and tasks run: nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer
from tests.stack.application import Application, application
from tests.stack.broker_servers import BrokerServer, RabbitNode, RedisServer
from tests.stack.deployment import Deployment, deployment_over
from tests.waiting import until

pytestmark = pytest.mark.server

SOME = [f"say {number}" for number in range(20)]
PATIENCE = 60.0


@pytest.fixture(params=["amqp", "redis"])
def deployment(
    request: pytest.FixtureRequest, postgres: PostgresServer, template_database: str
) -> Iterator[Deployment]:
    server = RabbitNode() if request.param == "amqp" else RedisServer(durable=True)
    with deployment_over(request.param, postgres, template_database, server) as running:
        yield running


@pytest.fixture
def server(deployment: Deployment) -> BrokerServer:
    assert deployment.broker.server is not None
    return deployment.broker.server


@pytest.fixture
def served() -> Iterator[Application]:
    with application() as running:
        yield running


def queued(deployment: Deployment) -> list[str]:
    """Tasks that wait in the broker, which confirmed them."""
    task_ids = [deployment.client.submit("echo", f"{number}") for number in range(20)]
    until(lambda: all(deployment.stored(task_id) == [True] for task_id in task_ids))
    return task_ids


@pytest.mark.parametrize("deployment", ["redis"], indirect=True)
def test_what_waits_in_a_killed_broker_is_executed(deployment: Deployment, server: BrokerServer) -> None:
    """The short form of those below."""
    with deployment.worker(concurrency=1, environment={"CELERY_WORKER_PREFETCH_MULTIPLIER": "1"}):
        held = deployment.client.submit("tests.hold", 3.0)
        deployment.until_state(held, "STARTED")
        waiting = queued(deployment)
        server.restart()
        for task_id in (held, *waiting):
            assert deployment.client.ended(task_id, seconds=PATIENCE)["status"] == "SUCCESS"


@pytest.mark.long
def test_work_goes_on_when_the_broker_comes_back(
    deployment: Deployment, server: BrokerServer, served: Application
) -> None:
    one_by_one = {"CELERY_WORKER_PREFETCH_MULTIPLIER": "1", "GATEWAY_LANE_SLICE_SECONDS": "0.3"}
    with deployment.worker(environment=one_by_one) as worker:
        run_id = deployment.execute(served, [*SOME, "wait"], concurrency=4)
        assert served.is_waiting.wait(15)
        held = deployment.client.submit("tests.hold", 2.0)
        deployment.until_state(held, "STARTED")
        waiting = queued(deployment)
        server.kill()
        waiting += [deployment.client.submit("echo", "submitted while it is away") for _ in range(5)]
        served.gate.set()
        server.start()
        for task_id in (*waiting, held):
            assert deployment.client.ended(task_id, seconds=PATIENCE)["status"] == "SUCCESS"
        run = deployment.client.settled(run_id, seconds=PATIENCE)
        assert (run["status"], run["passed"], run["total"]) == ("completed", 21, 21)
        for task_id in waiting:
            until(lambda: worker.lines(rf"task_succeeded.*{task_id}"))  # noqa: B023 - called at once
            worker.wait_for(rf"task_succeeded.*{task_id}")
            assert len(worker.lines(rf"task_succeeded.*{task_id}")) == 1
    deployment.until_nothing_is_stored()


@pytest.mark.long
def test_nothing_is_lost_when_broker_and_worker_are_killed_together(
    deployment: Deployment, server: BrokerServer, served: Application
) -> None:
    one_by_one = {"CELERY_WORKER_PREFETCH_MULTIPLIER": "1"}
    with deployment.worker(environment=one_by_one) as worker:
        run_id = deployment.execute(served, [*SOME, "wait"], concurrency=4)
        assert served.is_waiting.wait(15)
        held = deployment.client.submit("tests.hold", 1.0)
        deployment.until_state(held, "STARTED")
        waiting = queued(deployment)
        server.kill()
        worker.kill()
    served.gate.set()
    server.start()
    with deployment.worker():
        for task_id in (*waiting, held):
            assert deployment.client.ended(task_id, seconds=PATIENCE)["status"] == "SUCCESS"
        run = deployment.client.settled(run_id, seconds=PATIENCE)
    assert (run["status"], run["passed"], run["total"]) == ("completed", 21, 21)
