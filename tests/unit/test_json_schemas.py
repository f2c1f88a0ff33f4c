"""JSON Schemas of tenants: what is accepted, and that neither schema nor answer can stall or reach out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from tests.judging import METRICS, judge
from workerapp.contract.specs import ConfigurationSpec
from workerapp.contract.states import ResultStatus
from workerapp.execution.metrics.finding import JudgingLimits

#: Each definition applies the next one twice, so that a value is looked at 2^40 times.
LAUGHS = {
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {"type": "string"}},
    "$ref": "#/$defs/d0",
}
QUICK = JudgingLimits(schema_seconds=0.05)


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "text"}, "this is not a JSON Schema: .*at type"),
        ({"properties": {"a": 3}}, "this is not a JSON Schema: .*at properties/a"),
        ({"$ref": "http://127.0.0.1:9/other"}, "leads to nothing in the schema; nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "leads to nothing in the schema; nothing is fetched"),
        ({"items": {"$ref": "#/$defs/none"}}, "'#/\\$defs/none' leads to nothing"),
        ({"$ref": "#/other", "other": {"type": 3}}, "this is not a JSON Schema"),
        ({"$ref": "#/other", "other": 3}, "this is not a JSON Schema"),
        ({"$ref": "#/a", "a": {"$ref": "#/b"}}, "'#/b' leads to nothing"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "what is accepted is https://json-schema.org/draft/2"),
        ({"items": {"pattern": "("}}, "'\\(' is not a regular expression"),
        ({"patternProperties": {"(": {}}}, "'\\(' is not a regular expression"),
        ({"properties": {"default": {"pattern": "("}}}, "'\\(' is not a regular expression"),
        ({"allOf": [{"patternProperties": {"a": {}}}], "unevaluatedProperties": False}, "are not accepted in one"),
        ({"const": "x" * 20_000}, "at most 20000 are accepted"),
    ],
)
def test_bad_schema_is_refused_with_a_sentence(schema: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        METRICS.validate_python([{"type": "json_schema", "schema": schema}])


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/a", "$ref": "#"},
        {"$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"},
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        {"enum": [{"pattern": "("}]},
        LAUGHS,
    ],
)
def test_good_schema_is_accepted_and_stored_as_it_was_written(schema: dict[str, Any]) -> None:
    metric = {"type": "json_schema", "schema": schema}
    spec = ConfigurationSpec.model_validate({"metrics": [metric]})
    assert spec.model_dump(mode="json", exclude_unset=True)["metrics"] == [metric]
    assert ConfigurationSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("schema", "output", "sentence"),
    [
        (LAUGHS, "x", "took more than 0.05 seconds"),
        ({"pattern": "(x+x+)+y"}, "x" * 10_000, "took more than 0.05 seconds"),
        ({"patternProperties": {"(x+x+)+y": {}}}, {"x" * 10_000: 1}, "took more than 0.05 seconds"),
        (
            {"patternProperties": {"(x+x+)+y": {}}, "additionalProperties": False},
            {"x" * 10_000: 1},
            "took more than 0.05 seconds",
        ),
        ({"allOf": [{"$ref": "#"}]}, 1, "nested too deeply, or the schema refers to itself"),
        ({"multipleOf": 0.1}, int("9" * 400), "too large for the schema"),
    ],
)
def test_schema_that_takes_for_ever_is_an_error(schema: dict[str, Any], output: Any, sentence: str) -> None:
    verdict = judge([{"type": "json_schema", "schema": schema}], json.dumps(output), limits=QUICK)
    assert verdict.status is ResultStatus.ERROR
    assert sentence in (verdict.reason or "")


def test_many_slow_metrics_share_the_time_of_one_test() -> None:
    slow = [{"type": "json_schema", "schema": LAUGHS}] * 3
    limits = JudgingLimits(schema_seconds=0.05, test_seconds=0.01)
    reasons = [one.reason for one in judge(slow, '"x"', limits=limits).scores]
    assert reasons == [
        "the schema took more than 0.05 seconds",
        *["the metrics before took all of the 0.01 seconds for a test"] * 2,
    ]


@pytest.mark.parametrize(
    ("schema", "output", "passed"),
    [
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}, {"a": True}], True),
        ({"uniqueItems": True}, [1, 1.0], False),
        ({"uniqueItems": True}, [{"a": [1], "b": 2}, {"b": 2.0, "a": [1]}], False),
        ({"uniqueItems": False}, [1, 1], True),
        ({"uniqueItems": True}, [{"n": n} for n in range(10_000)], True),
        ({"pattern": "^a+$"}, "aaa", True),
        ({"pattern": "^a+$"}, "b", False),
        ({"properties": {"a": {}}, "patternProperties": {"^x-": {"type": "integer"}}}, {"x-1": "no"}, False),
        ({"patternProperties": {"^x-": {}}, "additionalProperties": False}, {"x-1": 1}, True),
        ({"patternProperties": {"^x-": {}}, "additionalProperties": False}, {"y": 1}, False),
        ({"additionalProperties": {"type": "integer"}}, {"y": 1}, True),
        ({"additionalProperties": {"type": "integer"}}, {"y": "1"}, False),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "string"}, True),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "text"}, False),
        ({"properties": {"next": {"$ref": "#"}}, "required": ["v"]}, {"v": 1, "next": {"v": 2}}, True),
        ({"properties": {"next": {"$ref": "#"}}, "required": ["v"]}, {"v": 1, "next": {}}, False),
    ],
)
def test_keywords_of_our_own_judge_as_the_standard_says(schema: dict[str, Any], output: Any, *, passed: bool) -> None:
    verdict = judge([{"type": "json_schema", "schema": schema}], json.dumps(output))
    assert verdict.scores[0].passed is passed, verdict.reason


names = st.text("ab", max_size=3)
numbers_and_texts = st.integers(-2, 2) | st.floats(-2, 2).map(lambda number: round(number * 2) / 2) | names
values = st.recursive(
    numbers_and_texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
)
subschemas = st.sampled_from([True, False, {"type": "integer"}, {"pattern": "^a"}, {"uniqueItems": True}])
patterns = st.sampled_from(["a", "^b", "ab$", "^$"])
schemas = st.fixed_dictionaries(
    {},
    optional={
        "pattern": patterns,
        "uniqueItems": st.booleans(),
        "properties": st.dictionaries(names, subschemas, max_size=3),
        "patternProperties": st.dictionaries(patterns, subschemas, max_size=3),
        "additionalProperties": subschemas,
        "items": subschemas,
    },
)


@given(schema=schemas, value=values)
def test_keywords_of_our_own_judge_as_those_of_the_library(schema: dict[str, Any], value: Any) -> None:
    verdict = judge([{"type": "json_schema", "schema": schema}], json.dumps(value))
    assert verdict.scores[0].passed is Draft202012Validator(schema).is_valid(value)
