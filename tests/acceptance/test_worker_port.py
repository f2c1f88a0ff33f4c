"""What a worker answers at its port: what all of its processes have counted, whether it lives and is ready."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.exposition import scrape
from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client
from tests.stack.services import EXTRA_TASKS, Worker, free_port
from tests.waiting import until
from workerapp.app import make_app
from workerapp.settings import load_worker_settings

PORT = free_port()
URL = f"http://127.0.0.1:{PORT}"
LIVE_SECONDS = 2


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    environment = {
        "GATEWAY_WORKER_METRICS_PORT": str(PORT),
        "GATEWAY_WORKER_LIVE_SECONDS": str(LIVE_SECONDS),
        "GATEWAY_REPORT_SECONDS": "0.2",
        "GATEWAY_LANE_CONCURRENCY": "4",
    }
    with Worker(module_database, include=(EXTRA_TASKS, "tests.stack.blocking"), environment=environment) as running:
        yield running


def status(path: str) -> int:
    return httpx.get(URL + path).status_code


def ended(task: str, outcome: str) -> float:
    return scrape(URL)[f"gateway_worker_tasks_total {outcome} {task}"]


def execute(client: Client, app: Application, questions: list[str]) -> None:
    tests = [{"input": question, "expected": question.removeprefix("say ")} for question in questions]
    endpoint = {"url": app.url, "request": {"input": "{{ input }}"}, "response": {"output": "$.output"}}
    run = client.execute(client.configure(endpoint=endpoint, tests=tests, metrics=[{"type": "equals"}]))
    assert client.settled(run)["status"] in {"completed", "partial"}


def send(database: TestDatabase, organization_id: str, task: str, *arguments: object, **options: object) -> str:
    app = make_app(load_worker_settings(database_url=database.url, _env_file=None))
    headers = {"organization_id": organization_id}
    try:
        return str(app.send_task(task, args=arguments, headers=headers, **options).id)
    finally:
        app.close()


def test_what_becomes_of_tasks_is_counted_whatever_their_end(
    module_database: TestDatabase, worker: Worker, client: Client
) -> None:
    for name in ("tests.add", "tests.fail_then_succeed"):
        assert scrape(URL)[f"gateway_worker_tasks_total succeeded {name}"] == 0
    mine = module_database, client.organization_id
    send(*mine, "tests.add", 1, 2)
    send(*mine, "tests.fail", "no")
    send(*mine, "tests.fail_then_succeed", 1)
    send(*mine, "tests.add", 1, 2, expires=datetime.now(UTC) - timedelta(hours=1))
    send(*mine, "tests.unheard_of")
    until(lambda: ended("tests.fail_then_succeed", "succeeded") == 1)
    until(lambda: ended("tests.add", "expired") == 1)
    assert ended("tests.add", "succeeded") == 1
    assert ended("tests.fail", "failed") == 1
    assert ended("tests.fail_then_succeed", "retried") == 1
    until(lambda: scrape(URL)["gateway_worker_messages_refused_total unknown_task"] == 1)
    values = scrape(URL)
    assert values["gateway_worker_task_duration_seconds_count tests.add"] == 1, "the one that expired had not begun"
    assert not [series for series in values if "unheard_of" in series]


def test_a_task_that_is_executed_is_one_that_is_active(
    module_database: TestDatabase, worker: Worker, client: Client
) -> None:
    held = send(module_database, client.organization_id, "tests.hold", 60)
    until(lambda: scrape(URL)["gateway_worker_tasks_active"] == 1)
    assert scrape(URL)["gateway_worker_concurrency"] == 2
    client.post(f"/v1/tasks/{held}/cancel", {})
    until(lambda: ended("tests.hold", "revoked") == 1)
    assert scrape(URL)["gateway_worker_tasks_active"] == 0


def test_what_processes_of_the_pool_count_is_told_and_outlives_them(
    worker: Worker, client: Client, app: Application
) -> None:
    before = scrape(URL)
    execute(client, app, ["say one", "say two", "fail"])
    after = until(lambda: values if (values := scrape(URL))["gateway_lanes_active"] == 0 else None)
    for series, more in {
        "gateway_tests_total pass": 2,
        "gateway_tests_total error": 1,
        "gateway_target_request_duration_seconds_count answered": 2,
        "gateway_target_request_duration_seconds_count http_status": 1,
        "gateway_results_write_duration_seconds_count true": 1,
        "gateway_lane_slices_total finished": 1,
        "gateway_tests_active": 0,
    }.items():
        assert after[series] - before[series] == more, series
    children = worker.children()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(worker.children()) == 2 and not set(worker.children()) & set(children))
    assert scrape(URL)["gateway_tests_total pass"] == after["gateway_tests_total pass"], "nothing is lost"
    execute(client, app, ["say one", "say two", "say three"])
    until(lambda: scrape(URL)["gateway_tests_total pass"] == after["gateway_tests_total pass"] + 3)


def test_a_test_that_its_process_did_not_survive_is_under_way_no_more(
    worker: Worker, client: Client, app: Application
) -> None:
    endpoint = {"url": app.url, "request": {"input": "{{ input }}"}, "response": {"output": "$.output"}}
    run = client.execute(client.configure(endpoint=endpoint, tests=[{"input": "wait"}]))
    until(lambda: scrape(URL)["gateway_tests_active"] == 1)
    for pid in worker.children():
        os.kill(pid, signal.SIGKILL)
    until(lambda: ended("run_lane", "lost") >= 1)
    app.gate.set()
    assert client.settled(run)["status"] == "completed"
    until(lambda: scrape(URL)["gateway_tests_active"] == 0)


def test_what_waits_in_the_database_is_told_by_queue(
    module_database: TestDatabase, worker: Worker, client: Client
) -> None:
    mine = module_database, client.organization_id
    send(*mine, "tests.add", 1, 2, queue="elsewhere")
    later = send(*mine, "tests.add", 1, 2, queue="elsewhere", countdown=3600)
    until(lambda: scrape(URL).get("gateway_queue_messages elsewhere delayed") == 1, 60)
    values = scrape(URL)
    assert values["gateway_queue_messages elsewhere ready"] == 1
    assert values["gateway_queue_messages celery ready"] == 0, "one that is consumed is told when it is empty, too"
    assert values["gateway_queue_ready_seconds elsewhere"] > 0
    assert values["gateway_tasks_open"] >= 2
    assert values["gateway_workers_alive"] == 1
    assert values["gateway_sweep_timestamp_seconds"] > 0
    assert not [series for series in values if client.organization_id in series or later in series]


def test_a_worker_whose_main_loop_stands_still_is_not_healthy_until_it_turns_again(
    module_database: TestDatabase, worker: Worker
) -> None:
    until(lambda: status("/readyz") == 200)
    assert status("/healthz") == 200
    app = make_app(load_worker_settings(database_url=module_database.url, _env_file=None))
    app.control.broadcast("stand_still", arguments={"seconds": LIVE_SECONDS + 4})
    app.close()
    until(lambda: status("/healthz") == 503)
    assert httpx.get(f"{URL}/healthz").text == "the main loop stands still\n"
    assert scrape(URL)["gateway_worker_healthy"] == 0
    until(lambda: status("/healthz") == status("/readyz") == 200)


@contextmanager
def no_database(database: TestDatabase) -> Iterator[None]:
    """Everybody has lost it, and nobody gets it back."""
    there = psycopg.conninfo.conninfo_to_dict(database.admin_url)
    name = sql.Identifier(str(there["dbname"]))
    with psycopg.connect(
        psycopg.conninfo.make_conninfo(database.admin_url, dbname="postgres"), autocommit=True
    ) as other:
        other.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        try:
            end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
            other.execute(end, (there["dbname"],))
            yield
        finally:
            other.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def test_a_worker_without_its_database_is_not_ready_and_left_alone(
    module_database: TestDatabase, worker: Worker
) -> None:
    until(lambda: status("/readyz") == 200)
    with no_database(module_database):
        until(lambda: status("/readyz") == 503)
        reported = scrape(URL)["gateway_worker_heartbeat_timestamp_seconds"]
        worker.wait_for(r"Trying again in 4\.00 seconds")  # for longer than its loop may stand still
        answers = {status("/healthz") for _ in range(50)}
        assert scrape(URL)["gateway_worker_heartbeat_timestamp_seconds"] == reported
    assert answers == {200}
    until(lambda: status("/readyz") == 200, 30)


def test_a_worker_that_stops_says_so_and_one_that_is_interrupted_has_not_failed(
    module_database: TestDatabase, client: Client
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "GATEWAY_WORKER_METRICS_PORT": str(port),
        "GATEWAY_WORKER_LIVE_SECONDS": "1",
        "GATEWAY_DEFAULT_QUEUE": "stopping",
    }
    with Worker(module_database, concurrency=1, environment=environment) as interrupted:
        held = send(module_database, client.organization_id, "tests.hold", 60, queue="stopping")
        until(lambda: scrape(url)["gateway_worker_tasks_active"] == 1)
        os.kill(interrupted.pid, signal.SIGINT)
        until(lambda: httpx.get(f"{url}/readyz").text == "the worker is stopping\n")
        answers = {httpx.get(f"{url}/healthz").status_code for _ in range(50)}
        client.post(f"/v1/tasks/{held}/cancel", {})
        assert interrupted.ended() == 0
    assert answers == {200}
