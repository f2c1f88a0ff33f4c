"""Logs of a deployment whose traces are off: the caller's trace, or the request, is in the lines of the workers too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client
from tests.stack.services import Gateway, Worker

JSON = {"GATEWAY_LOG_FORMAT": "json"}
SPAN = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    with Gateway(module_database, environment=JSON) as running:
        yield running


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    with Worker(module_database, ready=False, environment=JSON) as running:
        running.wait_for(r"@test ready\.")
        yield running


@pytest.mark.parametrize("trace_id", ["4bf92f3577b34da6a3ce929d0e0e4736", None])
def test_a_run_is_found_by_its_request_and_its_trace(
    gateway: Gateway, worker: Worker, client: Client, app: Application, trace_id: str | None
) -> None:
    endpoint = {"url": app.url, "request": {"input": "{{ input }}"}, "response": {"output": "$.output"}}
    configuration = client.configure(endpoint=endpoint, tests=[{"input": "say 1"}])
    headers = {} if trace_id is None else {"traceparent": f"00-{trace_id}-{SPAN}-01"}
    answer = client.http.post(f"/v1/test-configurations/{configuration}/execute", json={}, headers=headers)
    run_id, request_id = answer.json()["test_run_id"], answer.headers["x-request-id"]
    client.settled(run_id)
    worker.wait_for(f"task_succeeded.*collect_results.*{run_id}")
    about = {
        "organization_id": client.organization_id,
        "request_id": request_id,
        "trace_id": trace_id or request_id,
        "test_run_id": run_id,
    }
    assert "traceparent" not in app.headers["say 1"]
    (asked,) = of_request(gateway, request_id)
    assert asked.items() >= (about | {"task_id": answer.json()["task_id"]}).items()
    executed = of_request(worker, request_id)
    assert {line["task"] for line in executed} == {"run_lane", "collect_results"}
    assert [line for line in executed if about.items() - line.items()] == []


def of_request(process: Gateway | Worker, request_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.lines(request_id)]
