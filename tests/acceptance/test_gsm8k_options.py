"""The published benchmark in parts, several times, and until it fails too often: the numbers follow from its data."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.gsm8k import TOTAL, configure, counts, expected, passed_among
from tests.shared_data import json_lines
from tests.stack.client import Client
from tests.stack.services import RecordedEndpoint, Worker

PART = 300


def verdicts(shared: Path) -> dict[str, bool]:
    """What the authors say of the answer to each question, in their order."""
    return {
        row["question"]: row["is_correct"]
        for row in json_lines(shared / "data" / "gsm8k" / "recorded_6b_finetuning.jsonl")
    }


def execute(client: Client, configuration: str, **options: Any) -> str:
    return str(client.post(f"/v1/test-configurations/{configuration}/execute", options)["test_run_id"])


def test_a_recorded_model_scores_the_same_each_time(client: Client, worker: Worker, shared: Path):
    passed = passed_among(shared, PART)
    with RecordedEndpoint(shared) as endpoint:
        run = client.settled(client.execute(configure(client, shared, endpoint.url, total=PART, repeats=3)))
        assert httpx.get(endpoint.stats_url).json()["answered"] == 3 * PART
    assert counts(run) == expected("completed", passed=3 * passed, total=3 * PART)
    results = client.results(run["id"])
    assert [(result["position"], result["repeat"]) for result in results] == [
        (position, repeat) for position in range(PART) for repeat in (1, 2, 3)
    ]
    repeats = client.get(f"/v1/test-runs/{run['id']}/statistics")["repeats"]
    told = {"tests": PART, "always_passed": passed, "always_failed": PART - passed, "flaky": 0, "flaky_tests": []}
    assert repeats == told


def test_questions_that_are_answered_only_the_second_time_are_flaky(client: Client, worker: Worker, shared: Path):
    answered = [{"type": "http_status", "codes": [503], "not_": True}]
    with RecordedEndpoint(shared, "--flaky-every", "10") as endpoint:
        configuration = configure(client, shared, endpoint.url, total=PART, max_attempts=1, metrics=answered, repeats=2)
        run = client.settled(client.execute(configuration))
        retried = client.settled(client.post(f"/v1/test-runs/{run['id']}/retry", {})["test_run_id"])
    flaky = PART // 10
    assert counts(run) == expected("completed", passed=2 * PART - flaky, total=2 * PART)
    repeats = client.get(f"/v1/test-runs/{run['id']}/statistics")["repeats"]
    assert (repeats["always_passed"], repeats["always_failed"], repeats["flaky"]) == (PART - flaky, 0, flaky)
    assert [test["position"] for test in repeats["flaky_tests"]] == list(range(0, PART, 10))
    assert counts(retried) == expected("completed", passed=flaky, total=flaky)


def test_a_sample_scores_what_its_questions_do(
    client: Client, worker: Worker, recorded: RecordedEndpoint, shared: Path
):
    correct = verdicts(shared)
    configuration = configure(client, shared, recorded.url, sample={"first": PART})
    first = client.settled(client.execute(configuration))
    assert counts(first) == expected("completed", passed=passed_among(shared, PART), total=PART)
    drawn = client.settled(execute(client, configuration, sample={"random": PART}))
    asked = [result["input"] for result in client.results(drawn["id"])]
    assert len(set(asked)) == PART
    assert counts(drawn) == expected("completed", passed=sum(map(correct.__getitem__, asked)), total=PART)
    again = client.settled(execute(client, configuration, sample=drawn["settings"]["sample"]))
    assert [result["input"] for result in client.results(again["id"])] == asked


def test_in_sequence_the_benchmark_ends_with_the_last_failure_it_may_have(client: Client, worker: Worker, shared: Path):
    most = 20
    failures = list(accumulate(not correct for correct in verdicts(shared).values()))
    asked = failures.index(most) + 1
    with RecordedEndpoint(shared) as endpoint:
        configuration = configure(client, shared, endpoint.url, mode="sequential")
        run = client.settled(execute(client, configuration, max_failures=most))
        stats = httpx.get(endpoint.stats_url).json()
    assert (stats["questions_asked"], stats["answered"]) == (asked, asked)
    assert counts(run) == expected("completed", passed=asked - most, total=asked) | {
        "total": TOTAL,
        "cancelled": TOTAL - asked,
    }
    assert run["reason"].startswith(f"The run ended early, with {TOTAL - asked} of its tests cancelled: {most} failed")


def test_the_statistics_by_tag_are_those_of_the_tagged_questions(
    client: Client, worker: Worker, recorded: RecordedEndpoint, shared: Path
):
    correct = verdicts(shared)
    run = client.settled(client.execute(configure(client, shared, recorded.url, tag=length_of)))
    tags = client.get(f"/v1/test-runs/{run['id']}/statistics")["tags"]
    tests = Counter(map(length_of, correct))
    passed = Counter(length_of(question) for question, is_correct in correct.items() if is_correct)
    assert {tag["tag"]: (tag["tests"], tag["passed"], tag["failed"]) for tag in tags} == {
        tag: (tests[tag], passed[tag], tests[tag] - passed[tag]) for tag in tests
    }
    assert [tag["tests"] for tag in tags] == sorted(tests.values(), reverse=True)
    assert all(tag["lower"] <= tag["pass_rate"] <= tag["upper"] for tag in tags)
    (long,) = (tag for tag in tags if tag["tag"] == "long")
    only = client.settled(execute(client, run["test_configuration_id"], sample={"tags": ["long"]}))
    assert counts(only) == expected("completed", passed=long["passed"], total=long["tests"])


def length_of(question: str) -> str:
    """A tag."""
    words = len(question.split())
    return "short" if words < 40 else "middle" if words < 60 else "long"
