"""Webhooks sent by real workers: when a run has ended, when a worker dies in the middle, and when it stops."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contract import contract
from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client
from tests.stack.services import Worker, free_port
from tests.waiting import until
from tests.webhooks import (
    Receiver,
    Subscription,
    attempts,
    deliveries,
    pass_time,
    queue,
    receiving_apart,
    subscribe,
    verify,
)

PUBLIC_URL = "https://gateway.example.com"
ENDPOINT = {"request": {"input": "{{ input }}"}, "response": {"output": "$.output"}}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving_apart() as running:
        yield running


class Sender(Worker):
    """A worker that sends webhooks and tells its metrics."""

    def __init__(self, database: TestDatabase) -> None:
        self._metrics_port = free_port()
        settings = {
            "GATEWAY_PUBLIC_URL": PUBLIC_URL,
            "GATEWAY_WORKER_METRICS_PORT": str(self._metrics_port),
        }
        super().__init__(database, environment=settings)

    def metrics(self) -> dict[str, float]:
        text = httpx.get(f"http://127.0.0.1:{self._metrics_port}/metrics").text
        return {
            "".join((sample.name, *sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def subscription(admin: psycopg.Connection, client: Client, receiver: Receiver) -> Iterator[Subscription]:
    """One that other tests do not hear of."""
    made = subscribe(admin, UUID(client.organization_id), f"{receiver.url}/hang", event_types=[])
    yield made
    admin.execute("DELETE FROM webhook_endpoint WHERE id = %s", (made.id,))


def test_a_run_that_ends_calls_back_and_tells_who_asked_for_it(
    module_database: TestDatabase, admin: psycopg.Connection, client: Client, app: Application, receiver: Receiver
) -> None:
    endpoint = {"url": f"{receiver.url}/ok/subscribed", "headers": {"X-Team": "blue"}}
    subscribed = client.post("/v1/webhook-endpoints", endpoint)["secret"]
    tests = [{"input": "say 1", "expected": "1"}, {"input": "wait", "expected": "no"}]
    configuration = client.configure(endpoint=ENDPOINT | {"url": app.url}, tests=tests, metrics=[{"type": "equals"}])
    with Sender(module_database) as worker:
        callback_url = {"callback_url": f"{receiver.url}/ok/called-back?build=7"}
        submitted = client.post(f"/v1/test-configurations/{configuration}/execute", callback_url)
        app.gate.set()
        until(lambda: len(receiver.received) == 2)
        until(lambda: [one["status"] for one in deliveries(admin)] == ["delivered"] * 2)
        counted = worker.metrics()
    run_id = submitted["test_run_id"]
    run = client.run(run_id)
    called_back = client.get(f"{submitted['links']['callback']}/secret")["secret"]
    admin.execute("DELETE FROM webhook_endpoint")
    for path, secret in (("/ok/subscribed", subscribed), ("/ok/called-back?build=7", called_back)):
        (request,) = receiver.at(path)
        verify(request, secret)
        assert contract().payload_errors(request.payload) == []
        data = request.payload["data"]
        assert request.payload["type"] == "test_run.completed"
        assert (data["test_run_id"], data["status"]) == (run_id, "completed")
        assert (data["counts"]["passed"], data["counts"]["failed"]) == (1, 1)
        assert data["links"]["self"] == f"{PUBLIC_URL}/v1/test-runs/{run_id}"
        assert client.run(data["links"]["self"].rpartition("/")[2]) == run
    assert receiver.at("/ok/subscribed")[0].headers["x-team"] == "blue"
    assert counted["gateway_webhook_attempts_totaldelivered"] == 2
    assert counted["gateway_webhook_delay_seconds_count"] == 2
    assert counted["gateway_webhook_attempts_in_flight"] == 0


def test_what_a_killed_worker_was_sending_is_sent_again_under_the_same_id(
    module_database: TestDatabase, admin: psycopg.Connection, subscription: Subscription, receiver: Receiver
) -> None:
    with Sender(module_database) as worker:
        (delivery_id,) = queue(admin, subscription)
        until(lambda: receiver.under_way.get("/hang") == 1)
        worker.kill()
        until(lambda: receiver.under_way["/hang"] == 0)
        receiver.answers["hang"] = receiver.answers["ok"]
        pass_time(admin, timedelta(minutes=1))
        worker.start()
        until(lambda: of(admin, delivery_id)["status"] == "delivered")
    assert [request.id for request in receiver.received] == [delivery_id] * 2
    for request in receiver.received:
        verify(request, subscription.secret)
    log = [one for one in attempts(admin) if str(one["webhook_delivery_id"]) == delivery_id]
    assert [(one["number"], one["http_status"], one["error"]) for one in log] == [
        (1, None, "interrupted"),
        (2, 200, None),
    ]


def test_a_worker_that_stops_gives_back_what_it_was_sending(
    module_database: TestDatabase, admin: psycopg.Connection, subscription: Subscription, receiver: Receiver
) -> None:
    with Sender(module_database) as worker:
        (delivery_id,) = queue(admin, subscription)
        until(lambda: receiver.under_way.get("/hang") == 1)
        worker.stop()
    delivery = of(admin, delivery_id)
    assert (delivery["status"], delivery["attempts"], delivery["leased_by"]) == ("pending", 0, None)
    assert worker.lines("Traceback|ERROR") == []


def of(admin: psycopg.Connection, delivery_id: str) -> dict[str, object]:
    (delivery,) = [one for one in deliveries(admin) if str(one["id"]) == delivery_id]
    return delivery
