"""An endpoint's limits, held by several runs in several workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.acceptance.gsm8k import configure, counts, expected, passed_among
from tests.postgres import TestDatabase
from tests.stack.client import Client
from tests.stack.services import RecordedEndpoint, Worker
from tests.waiting import until

SOME = 150
SMALL_LANES = {"GATEWAY_LANE_CONCURRENCY": "3", "GATEWAY_LANE_WATCH_SECONDS": "0.1", "GATEWAY_LANE_SLICE_SECONDS": "2"}


@pytest.fixture
def make_worker(module_database: TestDatabase) -> Callable[[], Worker]:
    return lambda: Worker(module_database, concurrency=4, environment=SMALL_LANES)


def test_two_runs_in_two_workers_never_ask_more_at_once_than_their_endpoint_takes(
    client: Client, make_worker: Callable[[], Worker], shared: Path
):
    with RecordedEndpoint(shared, "--latency-ms", "50") as endpoint, make_worker(), make_worker():
        limits = {"max_concurrency": 5}
        configuration = configure(client, shared, endpoint.url, total=SOME, limits=limits)
        runs = [client.execute(configuration) for _ in range(2)]
        settled = [client.settled(run) for run in runs]
        stats = httpx.get(endpoint.stats_url).json()
    passed = passed_among(shared, SOME)
    assert [counts(run) for run in settled] == [expected("completed", passed=passed, total=SOME)] * 2
    assert stats["max_in_flight"] == 5


def test_what_a_killed_worker_had_of_an_endpoint_is_taken_over(
    client: Client, make_worker: Callable[[], Worker], shared: Path, admin: psycopg.Connection
):
    with RecordedEndpoint(shared, "--latency-ms", "50") as endpoint, make_worker() as first, make_worker():
        configuration = configure(client, shared, endpoint.url, total=SOME, limits={"max_concurrency": 5})
        runs = [client.execute(configuration) for _ in range(2)]
        half_way = "SELECT sum(planned - pending) > 100 FROM test_run WHERE finished_at IS NULL"
        until(lambda: admin.execute(half_way).fetchone() == (True,))
        first.kill()
        settled = [client.settled(run) for run in runs]
        stats = httpx.get(endpoint.stats_url).json()
    passed = passed_among(shared, SOME)
    assert [counts(run) for run in settled] == [expected("completed", passed=passed, total=SOME)] * 2
    assert stats["max_in_flight"] <= 5
