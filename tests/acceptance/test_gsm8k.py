"""A published benchmark, end to end over REST: the numbers must be exactly those that its authors found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.acceptance.gsm8k import TOTAL, configure, counts, expected
from tests.stack.client import Client
from tests.stack.services import RecordedEndpoint, Worker


@pytest.mark.parametrize(("model", "passed"), [("6b_finetuning", 286), ("175b_finetuning", 458)])
def test_a_recorded_model_scores_what_its_authors_published(
    client: Client, worker: Worker, recorded: RecordedEndpoint, shared: Path, *, model: str, passed: int
):
    run_id = client.execute(configure(client, shared, recorded.url, model))
    run = client.settled(run_id)
    assert counts(run) == expected("completed", passed=passed)
    results = client.results(run_id)
    assert [result["position"] for result in results] == list(range(TOTAL))
    assert Counter(result["status"] for result in results) == {"pass": passed, "fail": TOTAL - passed}
    task = client.task(run["task_id"])
    assert (task["status"], task["result"]["status"], task["result"]["counts"]["passed"]) == (
        "SUCCESS",
        "completed",
        passed,
    )


def test_every_question_is_asked_once(client: Client, worker: Worker, shared: Path):
    with RecordedEndpoint(shared) as endpoint:
        client.settled(client.execute(configure(client, shared, endpoint.url)))
        stats = httpx.get(endpoint.stats_url).json()
    assert stats["questions_asked"] == stats["answered"] == TOTAL
    assert stats["questions_asked_more_than_once"] == 0
    assert stats["max_in_flight"] <= 50


def test_a_rerun_and_a_rescore_find_the_same_and_only_the_rerun_asks(client: Client, worker: Worker, shared: Path):
    with RecordedEndpoint(shared) as endpoint:
        first = client.execute(configure(client, shared, endpoint.url))
        client.settled(first)
        again = client.settled(client.post(f"/v1/test-runs/{first}/rerun", {})["test_run_id"])
        asked = httpx.get(endpoint.stats_url).json()["answered"]
        judged_again = client.settled(client.post(f"/v1/test-runs/{first}/rescore", {})["test_run_id"])
        assert httpx.get(endpoint.stats_url).json()["answered"] == asked == 2 * TOTAL
    for run in (again, judged_again):
        assert counts(run) == expected("completed", passed=286)
        assert client.get(f"/v1/test-runs/{run['id']}/compare/{first}")["counts"]["unchanged"] == TOTAL
    judged = client.get(f"/v1/test-runs/{judged_again['id']}/statistics")["judged"]
    assert (judged["tests"], judged["passed"], judged["lower"] < 286 / TOTAL < judged["upper"]) == (TOTAL, 286, True)


def test_a_tenth_without_an_answer_makes_the_run_partial(client: Client, worker: Worker, shared: Path):
    with RecordedEndpoint(shared, "--error-every", "10") as endpoint:
        run = client.settled(client.execute(configure(client, shared, endpoint.url)))
    assert run["status"] == "partial"
    assert run["errored"] == 132
    assert run["passed"] + run["failed"] == TOTAL - 132
    assert run["reason"] == "132 of 1319 tests could not be executed."
    page = client.get(f"/v1/test-runs/{run['id']}/results", status="error", limit=500)
    assert [result["position"] for result in page["items"]] == list(range(0, TOTAL, 10))
    assert {(result["http_status"], result["attempts"]) for result in page["items"]} == {(500, 3)}


def test_a_run_without_any_answer_fails(client: Client, worker: Worker, shared: Path):
    with RecordedEndpoint(shared, "--error-every", "1") as endpoint:
        run = client.settled(client.execute(configure(client, shared, endpoint.url)))
    assert counts(run) == expected("failed", passed=0, errored=TOTAL)


def test_a_run_of_wrong_answers_only_completes(
    client: Client, worker: Worker, recorded: RecordedEndpoint, shared: Path
):
    nobody_says_that = [{"type": "equals", "value": "forty-two and a half"}]
    run_id = client.execute(configure(client, shared, recorded.url, metrics=nobody_says_that))
    assert counts(client.settled(run_id)) == expected("completed", passed=0)


def test_the_streams_events_tell_every_result_once_and_without_gaps(
    client: Client, worker: Worker, recorded: RecordedEndpoint, shared: Path, admin: psycopg.Connection
):
    run_id = client.execute(configure(client, shared, recorded.url))
    events = list(client.events(f"/v1/test-runs/{run_id}/events"))
    assert events[0].type == "snapshot"
    told = events[1:]
    assert [event.seq for event in told] == list(range(events[0].seq + 1, events[0].seq + 1 + len(told)))
    finished = [event.body["data"]["position"] for event in told if event.type == "test_result.finished"]
    assert sorted(finished) == list(range(TOTAL))
    assert told[-1].type == "test_run.completed"
    assert told[-1].body["data"]["counts"]["passed"] == 286
