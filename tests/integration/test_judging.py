"""Judging in a run: the metrics of a test and of its configuration, statuses, times, and what is stored of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.lane_runs import Runs, opened_runs, serving
from tests.postgres import TestDatabase

NUMBERS = {"type": "json_schema", "schema": {"type": "array", "items": {"type": "integer"}}}


@pytest.fixture
def runs(database: TestDatabase) -> Iterator[Runs]:
    with opened_runs(database) as opened:
        yield opened


async def judged(runs: Runs, test: dict[str, Any], **spec: Any) -> Any:
    """The row of one test that was run, by the names of its columns."""
    async with serving() as application:
        (lane,) = runs.plan(application.url, [test], **spec)
        await runs.work(lane)
    statement = "SELECT to_jsonb(r) FROM test_result r WHERE test_run_id = %s"
    return runs.row(statement, lane.test_run_id)[0]


async def test_the_assertions_of_a_test_are_judged_before_the_metrics_of_its_configuration(runs: Runs):
    test = {"input": "18", "expected": "18", "assertions": [{"type": "contains", "value": "9", "name": "own"}]}
    row = await judged(runs, test, metrics=[{"type": "equals"}, {"type": "latency", "max_ms": 60_000}])
    assert (row["status"], row["scores"]["status"]) == ("fail", "fail")
    assert [one["name"] for one in row["scores"]["scores"]] == ["own", "equals", "latency"]
    assert [one["passed"] for one in row["scores"]["scores"]] == [False, True, True]
    assert row["scores"]["score"] == pytest.approx(2 / 3, abs=1e-6)
    assert row["scores"]["reason"] == "own: looked for '9' in '18'"
    assert set(row["scores"]["scores"][0]) == {
        *("name", "type", "turn", "score", "threshold", "passed", "reason", "duration_ms"),
    }


async def test_a_pass_threshold_lets_a_test_pass_though_a_metric_fails(runs: Runs):
    metrics = [{"type": "equals"}, {"type": "contains", "value": "9"}]
    row = await judged(runs, {"input": "18", "expected": "18"}, metrics=metrics, pass_threshold=0.5)
    assert (row["status"], row["scores"]["score"]) == ("pass", 0.5)


@pytest.mark.parametrize(("answer", "status"), [(list(range(3000)), "pass"), (["a"], "fail")])
async def test_what_is_judged_beside_the_event_loop_is_judged_the_same(runs: Runs, answer: list[Any], status: str):
    row = await judged(runs, {"input": json.dumps(answer)}, metrics=[NUMBERS])
    assert (row["status"], row["error"]) == (status, None)


async def test_limits_of_judging_are_settings_of_the_worker(runs: Runs):
    limited = Runs(**{**vars(runs), "settings": runs.with_lanes(judging_text_length=3)})
    row = await judged(limited, {"input": "1234", "expected": "1"}, metrics=[{"type": "levenshtein"}])
    assert row["status"] == "error"
    assert row["error"] == {
        "code": "not_judged",
        "message": "levenshtein: the output has 4 characters; at most 3 are compared",
    }


@pytest.mark.parametrize(
    ("asked", "codes", "status", "attempts"),
    [
        ("status 422", [400, 422], "pass", 1),
        ("status 404", [400, 422], "fail", 1),
        ("fine", [422], "fail", 1),
        # What may go away by itself is tried again, and is an error unless the test asks for it.
        ("status 503", [503], "pass", 3),
        ("status 500", [200], "error", 3),
    ],
)
async def test_a_status_that_is_asked_for_is_an_answer(
    runs: Runs, asked: str, codes: list[int], status: str, attempts: int
):
    own = [{"type": "http_status", "codes": codes}]
    row = await judged(runs, {"input": asked, "assertions": own}, metrics=[])
    assert (row["status"], row["attempts"]) == (status, attempts)
    assert (row["error"] is not None) == (status == "error")


async def test_a_status_that_nothing_asks_for_is_an_error(runs: Runs):
    row = await judged(runs, {"input": "status 422", "expected": "x"}, metrics=[{"type": "equals"}])
    assert (row["status"], row["error"]["code"], row["scores"]) == ("error", "http_status", None)
