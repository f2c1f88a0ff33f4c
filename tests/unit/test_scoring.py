"""How scores become a verdict: thresholds, weights, negation, limits, and what is an error rather than a fail."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judging import judge, score
from workerapp.contract.states import ResultStatus
from workerapp.execution.metrics.finding import JudgingLimits

PASS, FAIL, ERROR, UNSCORED = ResultStatus.PASS, ResultStatus.FAIL, ResultStatus.ERROR, ResultStatus.UNSCORED
MOOD = {"type": "category", "categories": ["good", "bad", "mixed"]}
#: Half of the words: the score is 0.5.
HALF = {"type": "contains_all", "values": ["a", "z"]}


@pytest.mark.parametrize(
    ("metric", "output", "expected", "status"),
    [
        (MOOD | {"passing": ["good", "mixed"]}, " mixed\n", None, PASS),
        (MOOD | {"passing": ["good", "mixed"]}, "bad", None, FAIL),
        (MOOD | {"passing": ["good"]}, "rather good", None, FAIL),
        (MOOD | {"passing": ["good"]}, "Good", None, FAIL),
        (MOOD | {"passing": ["good"], "ignore_case": True}, "Good", None, PASS),
        (MOOD | {"pattern": "mood: (.+)"}, "mood: bad", "bad", PASS),
        (MOOD | {"pattern": "mood: (.+)"}, "no idea", "bad", FAIL),
        (MOOD, "good", "so-so", ERROR),
        (MOOD, "good", None, ERROR),
        ({"type": "jsonpath", "path": "$.a", "value": 1}, "no JSON", None, FAIL),
        ({"type": "jsonpath", "path": "$.a", "value": 1}, '{"b": 1}', None, FAIL),
        ({"type": "jsonpath", "path": "$.a", "operator": "!=", "value": 1}, '{"b": 1}', None, FAIL),
        ({"type": "jsonpath", "path": "$.a", "operator": "!="}, '{"a": 2}', "1", PASS),
        ({"type": "jsonpath", "path": "$.a"}, '{"a": 1}', "1", PASS),
        ({"type": "jsonpath", "path": "$.a", "value": "null"}, '{"a": null}', None, PASS),
        ({"type": "jsonpath", "path": "$.a", "operator": "exists"}, '{"a": null}', None, PASS),
        ({"type": "jsonpath", "path": "$.day", "operator": ">="}, '{"day": "2026-02-01"}', "2026-01-31", PASS),
        ({"type": "jsonpath", "path": "$.a", "operator": "<"}, '{"a": "9"}', "10", PASS),
        ({"type": "jsonpath", "path": "$.a", "operator": "<", "value": 10}, '{"a": true}', None, FAIL),
        ({"type": "jsonpath", "path": "$.a", "operator": "<", "value": "ten"}, '{"a": 9}', None, ERROR),
        ({"type": "jsonpath", "path": "$.a"}, '{"a": 1}', None, ERROR),
        ({"type": "json_schema", "schema": {}}, "no JSON", None, FAIL),
        ({"type": "is_json"}, '{"a": 1e999}', None, FAIL),
        ({"type": "is_json"}, "[" * 100_000, None, FAIL),
        ({"type": "f1"}, "Paris", None, ERROR),
        ({"type": "rouge_l", "threshold": 0.7}, "police kill the gunman", "police killed the gunman", PASS),
        ({"type": "rouge_l"}, "police kill the gunman", "police killed the gunman", FAIL),
        ({"type": "rouge_l"}, "Grüße an Jürgen", "Grüße von Jürgen", FAIL),
    ],
)
def test_metric_gives_the_right_verdict(
    metric: dict[str, Any], output: Any, expected: Any, status: ResultStatus
) -> None:
    verdict = judge([metric], output, expected)
    assert verdict.status is status
    assert verdict.scores[0].reason


@pytest.mark.parametrize(("latency", "status"), [(99.9, PASS), (100.0, PASS), (100.1, FAIL), (None, ERROR)])
def test_latency_is_held_against_what_is_allowed(latency: float | None, status: ResultStatus) -> None:
    assert judge([{"type": "latency", "max_ms": 100}], latency_ms=latency).status is status


@pytest.mark.parametrize(("code", "status"), [(200, PASS), (201, PASS), (422, FAIL), (None, ERROR)])
def test_http_status_is_one_of_the_codes(code: int | None, status: ResultStatus) -> None:
    assert judge([{"type": "http_status", "codes": [200, 201]}], http_status=code).status is status


def test_without_an_output_all_but_the_response_fails() -> None:
    metrics = [{"type": "http_status", "codes": [422]}, {"type": "is_json"}, {"type": "contains", "not_": True}]
    verdict = judge(metrics, None, "secret", http_status=422, missing="the endpoint answered with HTTP 422")
    assert [one.passed for one in verdict.scores] == [True, False, True]
    assert verdict.reason == "is_json: there is no output: the endpoint answered with HTTP 422"


@pytest.mark.parametrize(
    ("symbol", "threshold", "passed"),
    [
        (">=", 0.5, True),
        (">=", 0.6, False),
        (">", 0.5, False),
        ("<", 0.5, False),
        ("<=", 0.5, True),
        ("=", 0.5, True),
        ("!=", 0.5, False),
    ],
)
def test_a_score_is_held_against_the_threshold_by_the_operator(symbol: str, threshold: float, *, passed: bool) -> None:
    assert score(HALF | {"threshold": threshold, "threshold_operator": symbol}, "a").passed is passed


@pytest.mark.parametrize(("pass_threshold", "status"), [(None, FAIL), (0.8, FAIL), (0.75, PASS), (0, PASS)])
def test_a_pass_threshold_decides_by_the_weighted_score(pass_threshold: float | None, status: ResultStatus) -> None:
    metrics = [{"type": "equals", "weight": 3}, {"type": "contains", "value": "z"}]
    verdict = judge(metrics, "18", "18", pass_threshold=pass_threshold)
    assert (verdict.score, verdict.status) == (0.75, status)


def test_below_the_pass_threshold_the_reason_names_both_and_the_first_that_failed() -> None:
    verdict = judge([{"type": "equals"}], "17", "18", pass_threshold=0.5)
    assert verdict.reason == "the weighted score 0 is below 0.5; equals: expected '18', the output is '17'"


def test_a_pass_threshold_does_not_hide_a_metric_that_could_not_judge() -> None:
    assert judge([{"type": "is_json"}, {"type": "equals"}], "1", pass_threshold=0).status is ERROR
    assert judge([], "1", pass_threshold=0).status is UNSCORED


@pytest.mark.parametrize("kind", ["levenshtein", "rouge_l", "f1"])
@pytest.mark.parametrize(("output", "expected"), [("x" * 11, "x"), ("x", "x" * 11), ("x", ["x" * 6, "y" * 6])])
def test_texts_that_are_too_long_are_an_error_with_a_clear_reason(kind: str, output: str, expected: Any) -> None:
    verdict = judge([{"type": kind}], output, expected, limits=JudgingLimits(text_length=10))
    assert verdict.status is ERROR
    assert "characters; at most 10 are compared" in (verdict.reason or "")


def test_an_output_that_is_too_long_is_not_read_as_json() -> None:
    verdict = judge([{"type": "is_json"}], "[1,2,3,4,5]", limits=JudgingLimits(json_length=10))
    assert (verdict.status, verdict.reason) == (ERROR, "is_json: the output has 11 characters; 10 are read as JSON")


weights = st.floats(min_value=0, max_value=1000)
shares = st.integers(min_value=0, max_value=4)


def share(count: int, **fields: Any) -> dict[str, Any]:
    """A metric whose score is so many quarters of 1 for the output 'a'."""
    return {"type": "contains_all", "values": ["a"] * count + ["z"] * (4 - count)} | fields


@given(count=shares, threshold=st.floats(min_value=0, max_value=1))
def test_negation_turns_score_and_verdict_around(count: int, threshold: float) -> None:
    plain = score(share(count, threshold=threshold), "a")
    negated = score(share(count, threshold=threshold, not_=True), "a")
    assert plain.score is not None
    assert negated.score == 1 - plain.score
    assert negated.passed is not plain.passed


@given(parts=st.lists(st.tuples(shares, weights), min_size=1, max_size=5))
def test_the_score_of_a_test_is_the_weighted_mean(parts: list[tuple[int, float]]) -> None:
    verdict = judge([share(count, weight=weight) for count, weight in parts], "a")
    total = sum(weight for _, weight in parts)
    if total == 0:
        assert (verdict.status, verdict.score) == (UNSCORED, None)
        return
    assert verdict.score == pytest.approx(sum(count / 4 * weight for count, weight in parts) / total, abs=1e-5)
    assert verdict.status is (PASS if all(count == 4 for count, weight in parts if weight) else FAIL)


@given(parts=st.lists(st.tuples(shares, st.floats(0.001, 1000)), min_size=1, max_size=5), factor=st.floats(0.5, 2))
def test_only_the_proportion_of_weights_counts(parts: list[tuple[int, float]], factor: float) -> None:
    one = judge([share(count, weight=weight) for count, weight in parts], "a")
    other = judge([share(count, weight=weight * factor) for count, weight in parts], "a")
    assert other.score == pytest.approx(one.score, abs=1e-5)
    assert other.status is one.status


CALLS = [{"id": "a", "function": {"name": "weather", "arguments": '{"city": "Paris", "days": 3}'}}]


@pytest.mark.parametrize(
    ("metric", "passed", "said"),
    [
        ({"field": "tool_calls", "path": "$[0].function.name", "value": "weather"}, True, "is 'weather'"),
        ({"field": "tool_calls", "path": "$[0].function.arguments.days", "operator": ">", "value": 2}, True, "is '3'"),
        ({"field": "tool_calls", "path": "$[1]", "operator": "exists"}, False, "no value at $[1]"),
        ({"field": "note", "path": "$.n", "value": 1}, True, "is '1'"),
        ({"field": "context", "path": "$", "operator": "exists"}, False, "the response has no context"),
        ({"field": "usage", "path": "$", "operator": "exists"}, False, "the usage 'much' is not JSON"),
    ],
)
def test_a_path_can_lead_into_another_mapped_field(metric: dict[str, Any], *, passed: bool, said: str) -> None:
    extra = {"tool_calls": CALLS, "note": '{"n": 1}', "usage": "much"}
    found = score({"type": "jsonpath", **metric}, "", extra=extra)
    assert found.passed is passed
    assert found.reason is not None
    assert said in found.reason
