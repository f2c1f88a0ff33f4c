"""The whole benchmark against an application with every fault at once, and one question after another."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import httpx

from tests.acceptance.gsm8k import TOTAL, configure, counts, expected
from tests.shared_data import json_lines
from tests.stack.client import Client
from tests.stack.services import RecordedEndpoint, Worker

#: Every how many questions a fault comes, and as what a test with it ends; where two meet, the first one wins.
FAULTS = {
    "error": (9, "http_status"),
    "hang": (101, "timeout"),
    "reset": (11, "connection_lost"),
    "garbage": (13, "response_not_json"),
}
#: These are answered when they are asked again.
FLAKY = 5
ATTEMPTS = {"http_status": 2, "timeout": 1, "connection_lost": 2, "response_not_json": 1}


def outcome_of(index: int, *, is_correct: bool) -> str:
    """The code of the error that a question ends with, or what its answer is."""
    for every, code in FAULTS.values():
        if index % every == 0:
            return code
    return "pass" if is_correct else "fail"


def test_every_question_ends_as_its_fault_says(client: Client, worker: Worker, shared: Path):
    recorded = json_lines(shared / "data" / "gsm8k" / "recorded_6b_finetuning.jsonl")
    computed = [outcome_of(index, is_correct=row["is_correct"]) for index, row in enumerate(recorded)]
    faults = [option for name, (every, _) in FAULTS.items() for option in (f"--{name}-every", str(every))]
    options = [*faults, "--flaky-every", str(FLAKY)]
    with RecordedEndpoint(shared, *options) as endpoint:
        configuration = configure(client, shared, endpoint.url, max_attempts=2, per_test_timeout=10)
        run = client.settled(client.execute(configuration), 90)
        stats = httpx.get(endpoint.stats_url).json()
    results = client.results(run["id"])
    found = [result["error"]["code"] if result["status"] == "error" else result["status"] for result in results]
    assert found == computed
    how_many = Counter(computed)
    errored = TOTAL - how_many["pass"] - how_many["fail"]
    assert counts(run) == expected("partial", passed=how_many["pass"], errored=errored)
    wrong = [result for result in results if result["status"] == "error"]
    assert all(len(result["error"]["message"]) > 20 for result in wrong)
    assert {(r["error"]["code"], r["attempts"]) for r in wrong} == set(ATTEMPTS.items())
    answered = [result for result in results if result["status"] != "error"]
    assert all(result["attempts"] == (2 if result["position"] % FLAKY == 0 else 1) for result in answered)
    assert stats["max_in_flight"] <= 50
    told = {
        group["code"]: group["tests"] for group in client.get(f"/v1/test-runs/{run['id']}/statistics")["error_codes"]
    }
    assert told == {code: how_many[code] for code in ATTEMPTS}


def test_in_sequence_one_question_is_asked_after_another(client: Client, worker: Worker, shared: Path):
    with RecordedEndpoint(shared) as endpoint:
        run = client.settled(client.execute(configure(client, shared, endpoint.url, mode="sequential")), 90)
        stats = httpx.get(endpoint.stats_url).json()
    assert counts(run) == expected("completed", passed=286)
    assert (stats["max_in_flight"], stats["answered"], stats["questions_asked_more_than_once"]) == (1, TOTAL, 0)
    finished = [result["finished_at"] for result in client.results(run["id"])]
    assert finished == sorted(finished)


def test_an_application_that_limits_its_rate_fails_no_test(client: Client, worker: Worker, shared: Path):
    with RecordedEndpoint(shared, "--rate", "200") as endpoint:
        run = client.settled(client.execute(configure(client, shared, endpoint.url, per_test_timeout=60)), 90)
        stats = httpx.get(endpoint.stats_url).json()
    assert counts(run) == expected("completed", passed=286)
    assert stats["answered"] == TOTAL
