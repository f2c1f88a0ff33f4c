"""Groups whose workers die, whose runs are cancelled or cannot be planned: they settle, and their chord joins once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.gsm8k import passed_among
from tests.acceptance.run_groups import MODELS, NOWHERE, ask, assert_joined_once, compare_models, statuses, verdicts
from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client
from tests.stack.services import RecordedEndpoint, Worker
from tests.waiting import until


@pytest.fixture
def make_worker(module_database: TestDatabase) -> Callable[..., Worker]:
    return lambda **options: Worker(module_database, **options)


def test_a_group_outlives_the_worker_that_executes_it(
    client: Client, make_worker: Callable[..., Worker], shared: Path, admin: psycopg.Connection
):
    some = 300
    with RecordedEndpoint(shared, "--latency-ms", "100") as endpoint, make_worker() as first:
        submitted = compare_models(client, shared, endpoint.url, some)
        until(lambda: all(run["pending"] < some * 0.8 for run in planned(client, submitted)))
        first.kill()
        assert any(run["pending"] > 0 for run in planned(client, submitted))
        with make_worker():
            group = client.settled_group(submitted["run_group_id"])
            assert_joined_once(client, admin, submitted, parts=2)
    assert group["status"] == "completed"
    assert [run["passed"] for run in group["runs"]] == [passed_among(shared, some, model) for model in MODELS]
    differing = sum(first != second for first, second in verdicts(shared, some))
    assert (group["comparison"]["tests"], group["comparison"]["differing"]) == (some, differing)


def planned(client: Client, submitted: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs, as soon as all of them are planned."""

    def look() -> list[dict[str, Any]] | None:
        runs = client.get(submitted["links"]["self"])["runs"]
        return runs if all(run["total"] is not None for run in runs) else None

    return until(look)


def test_a_group_that_is_cancelled_in_the_middle_settles_at_once_and_begins_nothing_more(
    client: Client, make_worker: Callable[..., Worker], app: Application
):
    with make_worker(concurrency=1) as worker:
        submitted = ask(client, app.url, NOWHERE, app.url, questions=("say a", "wait", "say b"), mode="sequential")
        assert app.is_waiting.wait(15)
        answer = client.http.post(submitted["links"]["cancel"])
        assert answer.status_code in (200, 202)
        group = client.settled_group(submitted["run_group_id"], seconds=10)
        assert not worker.lines("run_group_settled_late")
    assert group["status"] == "cancelled"
    assert "cancelled" in statuses(group)
    assert set(statuses(group)) <= {"cancelled", "failed"}
    assert app.asked["say b"] == 0
    assert client.task(submitted["task_id"])["status"] == "REVOKED"
    assert {client.task(run["task_id"])["status"] for run in submitted["runs"]} <= {"REVOKED", "SUCCESS"}
    again = client.http.post(submitted["links"]["cancel"])
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")


def test_a_run_that_cannot_be_planned_fails_and_the_group_joins_without_it(
    client: Client, make_worker: Callable[..., Worker], app: Application, admin: psycopg.Connection
):
    submitted = ask(client, app.url, app.url)
    broken = submitted["runs"][1]["test_configuration_id"]
    admin.execute('UPDATE test_configuration SET spec = \'{"mode": "unheard of"}\' WHERE id = %s', (broken,))
    with make_worker():
        group = client.settled_group(submitted["run_group_id"])
        assert_joined_once(client, admin, submitted, parts=2)
    assert (group["status"], statuses(group)) == ("partial", ["completed", "failed"])
    assert group["comparison"]["differing"] == 0
    assert client.task(submitted["runs"][1]["task_id"])["status"] == "FAILURE"


def test_a_run_that_is_cancelled_before_its_turn_does_not_hold_up_the_group(
    client: Client, make_worker: Callable[..., Worker], app: Application, admin: psycopg.Connection
):
    submitted = ask(client, app.url, app.url)
    client.post(f"/v1/test-runs/{submitted['runs'][0]['test_run_id']}/cancel", {})
    with make_worker():
        group = client.settled_group(submitted["run_group_id"])
        assert_joined_once(client, admin, submitted, parts=1)
    assert (group["status"], statuses(group)) == ("partial", ["cancelled", "completed"])


def test_a_run_whose_lane_is_cancelled_in_the_queue_counts_in_the_chord(
    client: Client, make_worker: Callable[..., Worker], app: Application, admin: psycopg.Connection
):
    with make_worker(concurrency=1, environment={"CELERY_WORKER_PREFETCH_MULTIPLIER": "1"}):
        submitted = ask(client, app.url, app.url, app.url, questions=("wait",))
        assert app.is_waiting.wait(15)
        last = submitted["runs"][2]
        client.post(f"/v1/test-runs/{last['test_run_id']}/cancel", {})
        app.gate.set()
        group = client.settled_group(submitted["run_group_id"])
        assert_joined_once(client, admin, submitted, parts=3)
    assert (group["status"], Counter(statuses(group))) == ("partial", {"completed": 2, "cancelled": 1})
