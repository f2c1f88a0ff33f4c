"""Traces of a whole deployment: one for a request and all that follows from it, in every process that works for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client
from tests.stack.collector import CollectedSpan, Collector, collecting
from tests.stack.services import Gateway, Worker
from tests.waiting import until
from tests.webhooks import receiving_apart

READY = r"@test ready\."
CALLER = "00f067aa0ba902b7"
QUESTIONS = ["say 1", "say 2", "fail"]
#: One for each question, and those of everything else that a run is.
SPANS_OF_A_RUN = 5 + len(QUESTIONS)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def environment(collector: Collector) -> dict[str, str]:
    return {"GATEWAY_TRACES_ENDPOINT": collector.url, "GATEWAY_LOG_FORMAT": "json"}


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase, collector: Collector) -> Iterator[Gateway]:
    with Gateway(module_database, environment=environment(collector)) as running:
        yield running


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase, collector: Collector) -> Iterator[Worker]:
    with Worker(module_database, ready=False, environment=environment(collector)) as running:
        running.wait_for(READY)
        yield running


@pytest.fixture
def client(make_client: Callable[[], Client], worker: Worker) -> Client:
    return make_client()


def sent(trace_id: str, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{CALLER}-{flags}", "tracestate": "vendor=1"}


def configured(client: Client, app: Application, **endpoint: Any) -> str:
    asked = {
        "request": {"input": "{{ input }}"},
        "response": {"output": "$.output"},
        "url": f"{app.url}v1?secret=s3cr3t",
    }
    tests = [{"input": question, "expected": question.removeprefix("say ")} for question in QUESTIONS]
    return client.configure(endpoint=asked | endpoint, tests=tests, metrics=[{"type": "equals"}])


def executed(client: Client, configuration: str, headers: dict[str, str], **body: Any) -> str:
    """A run that has ended; its id."""
    path = f"/v1/test-configurations/{configuration}/execute"
    answer = client.http.post(path, json=body, headers=headers)
    run_id = str(answer.json()["test_run_id"])
    assert client.settled(run_id)["status"] in ("completed", "partial")
    return run_id


def one(spans: list[CollectedSpan], name: str) -> CollectedSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def test_a_run_is_one_trace_from_the_caller_to_the_application_and_to_who_is_called_back(
    collector: Collector, client: Client, app: Application
) -> None:
    trace_id = uuid4().hex
    with receiving_apart() as receiver:
        callback = f"{receiver.url}/ok?token=t0k3n"
        run_id = executed(client, configured(client, app), sent(trace_id), callback_url=callback)
        spans = until(lambda: found if len(found := collector.of_trace(trace_id)) >= SPANS_OF_A_RUN + 1 else None)
        (called,) = receiver.received
    request = one(spans, "POST /v1/test-configurations/{test_configuration_id}/execute")
    message = one(spans, "send execute_test_configuration")
    planned = one(spans, "process execute_test_configuration")
    lane = one(spans, "process run_lane")
    collected = one(spans, "process collect_results")
    to_application = [span for span in spans if span.parent_id == lane.span_id and span.kind == "client"]
    (to_receiver,) = [span for span in spans if span.parent_id == planned.span_id and span.kind == "client"]
    assert [span.parent_id for span in (request, message, planned, lane, collected)] == [
        CALLER,
        request.span_id,
        message.span_id,
        planned.span_id,
        lane.span_id,
    ]
    assert [span.kind for span in (request, message, planned)] == ["server", "producer", "consumer"]
    assert {span.service for span in (request, message)} == {"task-status-gateway"}
    assert {span.service for span in (planned, lane, *to_application, to_receiver)} == {"task-status-worker"}
    assert {app.headers[question]["traceparent"] for question in QUESTIONS} == {
        span.traceparent for span in to_application
    }
    assert app.headers["say 1"]["tracestate"] == "vendor=1"
    assert called.headers["traceparent"] == to_receiver.traceparent
    assert sorted(span.attributes["http.response.status_code"] for span in to_application) == [200, 200, 400]
    assert [span.failed for span in spans if span.failed] == [True]
    assert request.attributes["http.response.status_code"] == 202
    assert (lane.attributes["gateway.test_run_id"], lane.attributes["gateway.organization_id"]) == (
        run_id,
        client.organization_id,
    )
    told = json.dumps([span.attributes for span in spans])
    assert {secret for secret in ("s3cr3t", "t0k3n", client.key, "say 1") if secret in told} == set()


def test_every_execution_of_a_task_is_a_span_beside_the_others(collector: Collector, client: Client) -> None:
    trace_id = uuid4().hex
    body = {"name": "tests.fail_then_succeed", "args": [1]}
    task_id = client.http.post("/v1/tasks", json=body, headers=sent(trace_id)).json()["task_id"]
    assert client.ended(task_id)["status"] == "SUCCESS"
    spans = until(lambda: found if len(found := collector.of_trace(trace_id)) >= 4 else None)
    message = one(spans, "send tests.fail_then_succeed")
    executions = [span for span in spans if span.kind == "consumer"]
    assert [span.parent_id for span in executions] == [message.span_id] * 2
    assert [(span.attributes["gateway.task.retries"], span.attributes.get("error.type")) for span in executions] == [
        (0, "ConnectionError"),
        (1, None),
    ]


def test_what_the_caller_does_not_record_nobody_does_and_the_application_is_told(
    collector: Collector, client: Client, app: Application
) -> None:
    unrecorded, recorded = uuid4().hex, uuid4().hex
    configuration = configured(client, app)
    executed(client, configuration, sent(unrecorded, "00"))
    told = app.headers["say 1"]["traceparent"].split("-")
    assert (told[1], told[3]) == (unrecorded, "00")
    assert told[2] != CALLER
    executed(client, configuration, sent(recorded))
    until(lambda: len(collector.of_trace(recorded)) >= SPANS_OF_A_RUN)
    assert collector.of_trace(unrecorded) == []


def test_an_endpoint_that_names_a_trace_of_its_own_keeps_it(client: Client, app: Application) -> None:
    own = f"00-{uuid4().hex}-{CALLER}-01"
    executed(client, configured(client, app, headers={"Traceparent": own}), sent(uuid4().hex))
    assert app.headers["say 1"]["traceparent"] == own


def test_without_a_good_trace_a_request_begins_one_and_problems_name_it(collector: Collector, client: Client) -> None:
    broken = {"traceparent": f"00-{'0' * 32}-{CALLER}-01"}
    problem = client.http.get(f"/v1/tasks/{uuid4()}", headers=broken).json()
    (span,) = until(lambda: collector.of_trace(problem["trace_id"]))
    assert (span.name, span.parent_id) == ("GET /v1/tasks/{task_id}", "")
    assert span.attributes["gateway.request_id"] == problem["request_id"]


def test_a_stream_is_told_when_it_opens(collector: Collector, client: Client) -> None:
    trace_id = uuid4().hex
    task_id = client.submit("tests.give", 1)
    with client.http.stream("GET", f"/v1/tasks/{task_id}/events", headers=sent(trace_id)) as stream:
        (span,) = until(lambda: collector.of_trace(trace_id))
        assert stream.status_code == 200
    assert span.name == "GET /v1/tasks/{task_id}/events"


def test_every_line_of_a_request_and_of_a_task_tells_whose_it_is(
    gateway: Gateway, worker: Worker, client: Client, app: Application
) -> None:
    trace_id = uuid4().hex
    request_id = f"request-{uuid4().hex}"
    headers = sent(trace_id) | {"X-Request-Id": request_id}
    run_id = executed(client, configured(client, app), headers)
    task = client.http.post("/v1/tasks", json={"name": "tests.log_as_library"}, headers=headers).json()
    client.ended(task["task_id"])
    worker.wait_for(f"task_succeeded.*{task['task_id']}")
    worker.wait_for(f"task_succeeded.*collect_results.*{run_id}")
    lines = [json.loads(line) for line in (*gateway.lines(request_id), *worker.lines(request_id))]
    about = {"organization_id": client.organization_id, "trace_id": trace_id, "request_id": request_id}
    assert [line for line in lines if about.items() - line.items()] == []
    (library,) = [line for line in lines if line["logger"] == "some.library"]
    assert library["task_id"] == task["task_id"]
    assert {line["path"] for line in lines if line.get("test_run_id") == run_id and "path" in line} != set()
    of_the_run = {line["task"] for line in lines if line.get("test_run_id") == run_id and "task" in line}
    assert of_the_run == {"run_lane", "collect_results"}
    tasks = [line for line in map(json.loads, worker.lines('"task_id"')) if line["logger"].startswith("workerapp")]
    assert [line for line in tasks if not {"organization_id", "trace_id", "request_id"} <= line.keys()] == []


def test_a_collector_that_is_away_breaks_and_delays_nothing_and_is_found_again(
    collector: Collector, gateway: Gateway, worker: Worker, client: Client, app: Application
) -> None:
    configuration = configured(client, app)
    collector.stop()
    executed(client, configuration, sent(uuid4().hex))
    gateway.wait_for("traces_not_exported")
    worker.wait_for("traces_not_exported")
    executed(client, configuration, sent(uuid4().hex))
    collector.start()
    trace_id = uuid4().hex
    executed(client, configuration, sent(trace_id))
    until(lambda: len(collector.of_trace(trace_id)) >= SPANS_OF_A_RUN)
    assert len(gateway.lines("traces_not_exported")) == len(gateway.lines("traces_exported_again")) == 1
    assert [*gateway.lines("Traceback"), *worker.lines("Traceback")] == []


def test_who_stops_sends_what_it_has(collector: Collector, gateway: Gateway, worker: Worker, client: Client) -> None:
    trace_id = uuid4().hex
    task = client.http.post("/v1/tasks", json={"name": "tests.give", "args": [1]}, headers=sent(trace_id)).json()
    client.ended(task["task_id"])
    gateway.stop()
    worker.stop()
    names = {span.name for span in collector.of_trace(trace_id)}
    gateway.start()
    worker.start()
    worker.wait_for(READY)
    assert names == {"POST /v1/tasks", "send tests.give", "process tests.give"}
