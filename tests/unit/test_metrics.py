"""Judging answers: each metric, how scores become a verdict, and a published benchmark that must come out exactly."""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any

import pytest

from tests.judging import judge
from tests.shared_data import json_lines, shared_folder
from workerapp.contract.states import ResultStatus
from workerapp.execution.metrics.verdict import Verdict

PASS, FAIL, ERROR, UNSCORED = ResultStatus.PASS, ResultStatus.FAIL, ResultStatus.ERROR, ResultStatus.UNSCORED
NUMBER = {"type": "extract", "pattern": r"A: (\S+)", "drop": ",", "compare": "number"}


@pytest.mark.parametrize(
    ("metric", "output", "expected", "status"),
    [
        ({"type": "equals"}, "18", "18", PASS),
        ({"type": "equals"}, "18\n", "18", FAIL),
        ({"type": "equals"}, "18", 18, PASS),
        ({"type": "equals"}, 18, "18", PASS),
        ({"type": "equals"}, 18, 18.0, PASS),
        ({"type": "equals"}, True, 1, FAIL),
        ({"type": "equals"}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, PASS),
        ({"type": "equals"}, None, "null", PASS),
        ({"type": "equals", "value": "own"}, "own", "other", PASS),
        ({"type": "equals"}, "18", None, ERROR),
        ({"type": "iequals"}, " Yes\n", "yes", PASS),
        ({"type": "iequals"}, "yes!", "yes", FAIL),
        ({"type": "contains"}, "it is 18.", "18", PASS),
        ({"type": "contains"}, "it is 19.", "18", FAIL),
        ({"type": "contains"}, "YES", "yes", FAIL),
        ({"type": "contains", "ignore_case": True}, "YES", "yes", PASS),
        ({"type": "contains"}, ["a", "b"], "b", PASS),
        ({"type": "contains"}, "x", None, ERROR),
        ({"type": "contains_any", "values": ["a", "b"]}, "xbx", None, PASS),
        ({"type": "contains_any"}, "xbx", ["a", "b"], PASS),
        ({"type": "contains_any"}, "xbx", "c", FAIL),
        ({"type": "contains_any"}, "xbx", [], ERROR),
        ({"type": "contains_all", "values": ["a", "b"]}, "ab", None, PASS),
        ({"type": "contains_all", "values": ["a", "b"]}, "a", None, FAIL),
        ({"type": "contains_all", "values": ["a", "b"], "threshold": 0.5}, "a", None, PASS),
        ({"type": "starts_with"}, "Sure, 18", "Sure", PASS),
        ({"type": "starts_with"}, "No", "Sure", FAIL),
        ({"type": "regex", "pattern": r"\b18\b"}, "it is 18.", None, PASS),
        ({"type": "regex", "pattern": r"\b18\b"}, "it is 180.", None, FAIL),
        ({"type": "regex", "pattern": "(?<=a)b(?!c)", "ignore_case": True}, "AB", None, PASS),
        ({"type": "extract", "pattern": "A: (.+)"}, "A: x", "x", PASS),
        ({"type": "extract", "pattern": "A: .+"}, "A: x", "A: x", PASS),
        ({"type": "extract", "pattern": "A: (x)?"}, "A: ", "A:", PASS),
        ({"type": "extract", "pattern": "A: (.+)"}, "no answer", "x", FAIL),
        ({"type": "extract", "pattern": "A: (.+)"}, "A: x", None, ERROR),
        (NUMBER, "A: 1,000.0", "1000", PASS),
        (NUMBER, "A: 1,000", 1000, PASS),
        (NUMBER, "A: 1001", 1000, FAIL),
        (NUMBER | {"tolerance": 1}, "A: 1001", 1000, PASS),
        (NUMBER | {"tolerance": 0.1}, "A: 0.3", "0.2", PASS),
        (NUMBER | {"value": 3.5}, "A: 3.50", None, PASS),
        (NUMBER, "A: many", 1000, FAIL),
        (NUMBER, "A: NaN", "1", FAIL),
        (NUMBER, "A: 1.2.3", "1", FAIL),
        (NUMBER, "A: " + "9" * 100_000, "1", FAIL),
        (NUMBER | {"tolerance": 1}, "A: 1e999999", "-1e999999", FAIL),
        (NUMBER, "A: 1", "many", ERROR),
    ],
)
def test_metric_gives_the_right_verdict(
    metric: dict[str, Any], output: Any, expected: Any, status: ResultStatus
) -> None:
    verdict = judge([metric], output, expected)
    assert verdict.status is status
    assert verdict.scores[0].passed is {PASS: True, FAIL: False, ERROR: None}[status]
    assert verdict.scores[0].reason


@pytest.mark.parametrize(("output", "status"), [("18", FAIL), ("19", PASS)])
def test_negated_metric_passes_where_it_does_not_hold(output: str, status: ResultStatus) -> None:
    assert judge([{"type": "equals", "not_": True}], output, "18").status is status


def test_negated_metric_that_cannot_judge_is_still_an_error() -> None:
    assert judge([{"type": "equals", "not_": True}], "18").status is ERROR


def test_negated_extraction_that_finds_nothing_passes() -> None:
    assert judge([{"type": "extract", "pattern": "A: (.+)", "not_": True}], "none", "x").status is PASS


def test_without_metrics_a_test_is_unscored() -> None:
    assert judge([], "18", "18") == Verdict(status=UNSCORED)


def test_metric_without_weight_decides_nothing() -> None:
    only_report = {"type": "equals", "weight": 0}
    assert judge([only_report], "wrong", "18").status is UNSCORED
    verdict = judge([only_report, {"type": "contains", "value": "w"}], "wrong", "18")
    assert (verdict.status, verdict.score, [s.passed for s in verdict.scores]) == (PASS, 1.0, [False, True])


def test_every_metric_must_pass_and_the_score_is_the_weighted_mean() -> None:
    verdict = judge([{"type": "equals", "weight": 3}, {"type": "contains", "value": "z", "name": "has z"}], "18", "18")
    assert (verdict.status, verdict.score) == (FAIL, 0.75)
    assert verdict.reason == "has z: looked for 'z' in '18'"


def test_metric_that_cannot_judge_outweighs_one_that_failed() -> None:
    verdict = judge([{"type": "contains", "value": "z"}, {"type": "equals"}], "18")
    assert verdict.status is ERROR
    assert verdict.reason == "equals: the test has no expected value and the metric has no value of its own"


@pytest.mark.parametrize("metric", [{"type": "regex"}, {"type": "extract", "value": "x"}])
def test_pattern_that_backtracks_for_ever_is_stopped(metric: dict[str, Any]) -> None:
    began = perf_counter()
    verdict = judge([metric | {"pattern": "(x+x+)+y"}], "x" * 100_000)
    assert perf_counter() - began < 5
    assert verdict.status is ERROR
    assert "searched for more than 0.1 seconds" in (verdict.reason or "")


def test_verdict_as_json_is_plain_and_short() -> None:
    verdict = judge([{"type": "equals", "name": "exact"}], "x" * 100_000, "18")
    plain = json.loads(json.dumps(verdict.as_json()))
    assert len(json.dumps(plain)) < 1000
    assert plain["status"] == "fail"
    score = plain["scores"][0]
    assert {**score, "duration_ms": 0, "reason": ""} == {
        "name": "exact",
        "type": "equals",
        "turn": None,
        "score": 0.0,
        "passed": False,
        "threshold": None,
        "duration_ms": 0,
        "reason": "",
    }


@pytest.mark.parametrize(("model", "correct"), [("6b_finetuning", 286), ("175b_finetuning", 458)])
def test_gsm8k_is_scored_as_its_authors_score_it(model: str, correct: int) -> None:
    folder = shared_folder() / "data" / "gsm8k"
    metric = {"type": "extract", "pattern": "A: (-?[0-9.,]+)", "drop": ",", "compare": "text"}
    expected = {row["question"]: row["expected"] for row in json_lines(folder / "questions.jsonl")}
    recorded = json_lines(folder / f"recorded_{model}.jsonl")
    passed = [judge([metric], row["solution"], expected[row["question"]]).status is PASS for row in recorded]
    assert len(recorded) == 1319
    assert passed == [row["is_correct"] for row in recorded]
    assert sum(passed) == correct
