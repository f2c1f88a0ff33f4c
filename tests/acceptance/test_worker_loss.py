"""Workers that die or are replaced in the middle of a run: it settles with the same numbers, every question once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.acceptance.gsm8k import TOTAL, configure, counts, expected, passed_among
from tests.postgres import TestDatabase
from tests.stack.client import Client
from tests.stack.services import RecordedEndpoint, Worker
from tests.waiting import until

SLOW = ("--latency-ms", "100")
#: Enough to be in the middle of, for all but the one test that the whole benchmark is for.
SOME = 400


@pytest.fixture
def make_worker(module_database: TestDatabase) -> Callable[..., Worker]:
    return lambda **options: Worker(module_database, **options)


@pytest.fixture
def done(admin: psycopg.Connection) -> Callable[[str], int]:
    """How many tests of a run have a result."""

    def read(run_id: str) -> int:
        row = admin.execute("SELECT planned - pending FROM test_run WHERE id = %s", (run_id,)).fetchone()
        assert row is not None
        return int(row[0] or 0)

    return read


def assert_every_question_has_one_result(
    client: Client, run: dict[str, Any], admin: psycopg.Connection, *, passed: int, total: int
) -> None:
    assert counts(run) == expected("completed", passed=passed, total=total)
    results = client.results(run["id"])
    assert [result["position"] for result in results] == list(range(total))
    assert Counter(result["status"] for result in results) == {"pass": passed, "fail": total - passed}
    told = admin.execute(
        "SELECT count(*), count(DISTINCT data->>'position') FROM task_event"
        " WHERE subject_id = %s AND type = 'test_result.finished'",
        (run["id"],),
    )
    assert told.fetchone() == (total, total)
    assert client.task(run["task_id"])["status"] == "SUCCESS"


def test_a_run_outlives_the_whole_group_of_its_worker(
    client: Client, make_worker: Callable[..., Worker], shared: Path, done: Any, admin: psycopg.Connection
):
    with RecordedEndpoint(shared, *SLOW) as endpoint:
        run_id = client.execute(configure(client, shared, endpoint.url))
        with make_worker() as first:
            until(lambda: done(run_id) > 200)
            first.kill()
            assert 0 < done(run_id) < TOTAL
            with make_worker():
                run = client.settled(run_id)
        stats = httpx.get(endpoint.stats_url).json()
    assert_every_question_has_one_result(client, run, admin, passed=286, total=TOTAL)
    # Only what the dead worker had asked and not recorded is asked again.
    assert stats["questions_asked_more_than_once"] <= 100


def test_a_run_outlives_the_child_that_executes_it(
    client: Client, make_worker: Callable[..., Worker], shared: Path, done: Any, admin: psycopg.Connection
):
    with RecordedEndpoint(shared, *SLOW) as endpoint, make_worker(concurrency=1) as worker:
        run_id = client.execute(configure(client, shared, endpoint.url, total=SOME))
        until(lambda: done(run_id) > SOME * 0.2)
        (child,) = worker.children()
        os.kill(child, signal.SIGKILL)
        run = client.settled(run_id)
        assert worker.children() != [child]
    passed = passed_among(shared, SOME)
    assert_every_question_has_one_result(client, run, admin, passed=passed, total=SOME)


def test_a_run_goes_on_when_one_of_two_workers_dies(
    client: Client, make_worker: Callable[..., Worker], shared: Path, done: Any, admin: psycopg.Connection
):
    lanes_of_ten = {"GATEWAY_LANE_CONCURRENCY": "10"}
    with (
        RecordedEndpoint(shared, *SLOW) as endpoint,
        make_worker(environment=lanes_of_ten) as first,
        make_worker(environment=lanes_of_ten),
    ):
        run_id = client.execute(configure(client, shared, endpoint.url, total=SOME))
        until(lambda: done(run_id) > SOME * 0.2)
        first.kill()
        run = client.settled(run_id)
        stats = httpx.get(endpoint.stats_url).json()
    assert_every_question_has_one_result(client, run, admin, passed=passed_among(shared, SOME), total=SOME)
    assert stats["max_in_flight"] <= 50


def test_a_deployment_in_the_middle_of_a_run_repeats_nothing(
    client: Client, make_worker: Callable[..., Worker], shared: Path, done: Any, admin: psycopg.Connection
):
    short_slices = {"GATEWAY_LANE_SLICE_SECONDS": "0.4"}
    with RecordedEndpoint(shared, *SLOW) as endpoint:
        run_id = client.execute(configure(client, shared, endpoint.url, total=SOME, concurrency=20))
        with make_worker(environment=short_slices) as old:
            until(lambda: done(run_id) > SOME * 0.2)
            old.stop()
            assert 0 < done(run_id) < SOME
        with make_worker(environment=short_slices):
            run = client.settled(run_id)
        stats = httpx.get(endpoint.stats_url).json()
    assert_every_question_has_one_result(client, run, admin, passed=passed_among(shared, SOME), total=SOME)
    assert stats["questions_asked_more_than_once"] == 0
