"""The definitions of endpoints, tests, configurations and metrics: what is accepted, and sentences for what is not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from workerapp.contract.metrics import Metric
from workerapp.contract.specs import ConfigurationSpec, EndpointSpec, TestSpec

METRIC: TypeAdapter[Metric] = TypeAdapter(Metric)
KEY = "0199d2a0-7c4e-7b1a-8a3e-2f8f7f0a1c22"
NO_ROOM = {"type": "numeric", "min": 1, "max": 1}
ONE_CHOICE = {"type": "categorical", "choices": {"good": 1}}


def endpoint(**fields: Any) -> EndpointSpec:
    return EndpointSpec.model_validate({"name": "chat", "url": "https://api.example.com/v1/chat"} | fields)


def problems(error: ValidationError) -> dict[str, str]:
    return {".".join(map(str, problem["loc"])): problem["msg"] for problem in error.errors()}


def test_endpoint_has_the_documented_defaults() -> None:
    spec = endpoint()
    assert (spec.method, spec.max_attempts, spec.max_response_bytes) == ("POST", 3, 1_048_576)
    assert (spec.max_concurrency, spec.requests_per_second) == (None, None)


def test_preset_fills_in_what_is_not_given_and_twice_changes_nothing() -> None:
    given = {"preset": "openai_chat", "model": "small", "request": {"temperature": 0}, "response": {"id": "$.id"}}
    spec = endpoint(**given)
    assert spec.request == {"model": "small", "messages": "{{ messages }}", "temperature": 0}
    assert spec.response == {
        "output": "$.choices[0].message.content",
        "tool_calls": "$.choices[0].message.tool_calls",
        "usage": "$.usage",
        "id": "$.id",
    }
    assert EndpointSpec.model_validate(spec.model_dump()) == spec


def test_configuration_has_the_documented_defaults() -> None:
    spec = ConfigurationSpec()
    assert (spec.mode, spec.concurrency, spec.per_test_timeout, spec.metrics) == ("parallel", 10, 30.0, [])


@pytest.mark.parametrize(
    ("fields", "place", "sentence"),
    [
        ({"url": "ftp://example.com"}, "url", "must be http or https"),
        ({"url": "http://2130706433/"}, "url", "write the address in full"),
        ({"url": "http://a:b@example.com/"}, "url", "send credentials in a header"),
        ({"method": "DELETE"}, "method", "'GET', 'POST', 'PUT' or 'PATCH'"),
        ({"headers": {"Host": "a"}}, "headers", "cannot be chosen"),
        ({"headers": {"transfer-encoding": "chunked"}}, "headers", "cannot be chosen"),
        ({"headers": {"a b": "c"}}, "headers", "not a header name"),
        ({"headers": {"X-Key": "s3cret\r\nX: y"}}, "headers", "a character that a header cannot hold"),
        ({"request": {"a": ["{{ nope }}"]}}, "request", r"no variable 'nope'.*\(at /a/0\)"),
        ({"request": {"expected": "{{ expected }}"}}, "request", r"no variable 'expected'"),
        ({"query": {"a": "{{ expected }}"}}, "query", r"no variable 'expected'.*\(at /a\)"),
        ({"templated_headers": {"X-A": "{{ expected }}"}}, "templated_headers", r"no variable 'expected'.*\(at /X-A\)"),
        ({"templated_headers": {"Host": "a"}}, "templated_headers", "cannot be chosen"),
        ({"templated_headers": {"x-key": "a"}, "headers": {"X-Key": "b"}}, "", "'x-key' is set twice"),
        ({"auth": {"type": "magic"}}, "auth", "'bearer', 'api_key', 'oauth2_client_credentials'"),
        ({"auth": {"type": "bearer", "token": "s3cret\n"}}, "auth.bearer.token", "a header cannot hold"),
        ({"auth": {"type": "api_key", "value": "a"}, "headers": {"x-api-key": "b"}}, "", "'x-api-key' is set twice"),
        ({"preset": "openai_chat"}, "", "preset and model go together"),
        ({"model": "small"}, "", "preset and model go together"),
        ({"preset": "telepathy", "model": "small"}, "preset", "'openai_chat'"),
        ({"preset": "openai_chat", "model": "m", "response": {"output": "$["}}, "response", "not a JSONPath"),
        ({"request": [1], "method": "GET"}, "", "must be an object"),
        ({"response": {"output": "$["}}, "response", "not a JSONPath"),
        ({"response": {}}, "response", 'needs a path for "output"'),
        ({"timeout": 0}, "timeout", "greater than 0"),
        ({"timeout": float("inf")}, "timeout", "finite"),
        ({"max_attempts": 0}, "max_attempts", "greater than or equal to 1"),
        ({"colour": "blue"}, "colour", "not permitted"),
    ],
)
def test_bad_endpoint_is_refused_with_a_sentence(fields: dict[str, Any], place: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        endpoint(**fields)
    assert list(problems(caught.value)) == [place]
    with pytest.raises(ValidationError, match=sentence):
        endpoint(**fields)


def test_header_values_are_not_in_messages_or_representations() -> None:
    spec = endpoint(headers={"Authorization": "Bearer s3cret"})
    assert "s3cret" not in repr(spec)
    assert "s3cret" not in repr(endpoint(auth={"type": "bearer", "token": "s3cret"}))
    with pytest.raises(ValidationError) as caught:
        endpoint(headers={"X-Key": "s3cret\n"})
    assert "s3cret" not in problems(caught.value)["headers"]


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "Why?"},
        {"input": [{"role": "system", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "y"}]}]},
        {"input": "Why?", "expected": ["a", 1, None], "metadata": {"a": {"b": 1}}, "assertions": [{"type": "equals"}]},
        {"turns": [{"input": "Why?"}, {"input": [{"role": "user", "content": "And?"}], "expected": 7}], "input": None},
        {"turns": [{"input": "Why?", "assertions": [{"type": "equals", "value": "so"}]}] * 50, "expected": "b"},
    ],
)
def test_test_is_accepted(fields: dict[str, Any]) -> None:
    TestSpec.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": 1},
        {"input": []},
        {"input": [{"role": "king", "content": "x"}]},
        {"input": "x", "assertions": [{}]},
        {"input": "x", "turns": [{"input": "y"}]},
        {"turns": []},
        {"turns": [{"input": "x"}] * 51},
        {"turns": [{"input": "x", "turns": [{"input": "y"}]}]},
        {"turns": [{"expected": "x"}]},
    ],
)
def test_bad_test_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TestSpec.model_validate(fields)


@pytest.mark.parametrize("fields", [{}, {"input": "x", "turns": [{"input": "y"}]}])
def test_a_test_asks_one_thing_or_several_in_turn(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="a test has either an input, or turns that are asked one after another"):
        TestSpec.model_validate(fields)


@pytest.mark.parametrize("concurrency", [0, 1001, "ten"])
def test_concurrency_out_of_range_is_refused(concurrency: Any) -> None:
    with pytest.raises(ValidationError, match="concurrency"):
        ConfigurationSpec(concurrency=concurrency)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        ({}, "say which tests"),
        ({"first": 1, "random": 1}, "first or random, not both"),
        ({"seed": 1, "tags": ["a"]}, "a seed goes with random"),
        ({"random": 1, "seed": 2**32}, "less than or equal to 4294967295"),
        ({"first": 0}, "greater than or equal to 1"),
        ({"tags": [" a"]}, "match pattern"),
    ],
)
def test_bad_sample_is_refused_with_a_sentence(sample: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ConfigurationSpec.model_validate({"sample": sample})


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ({"type": "vibes"}, "'equals', 'iequals', 'contains'"),
        ({"pattern": "x"}, "Unable to extract tag"),
        ({"type": "regex"}, "Field required"),
        ({"type": "regex", "pattern": "("}, "'\\(' is not a regular expression: missing \\)"),
        ({"type": "regex", "pattern": "a" * 501}, "at most 500 are accepted"),
        ({"type": "regex", "pattern": "(" * 499}, "too complicated"),
        ({"type": "equals", "weight": -1}, "greater than or equal to 0"),
        ({"type": "equals", "threshold": 2}, "less than or equal to 1"),
        ({"type": "extract", "pattern": "x", "compare": "colour"}, "'text' or 'number'"),
        ({"type": "contains_any", "values": []}, "at least 1 item"),
        ({"type": "equals", "nto": True}, "not permitted"),
        ({"type": "equals", "threshold_operator": "<"}, "threshold_operator needs a threshold"),
        ({"type": "equals", "threshold": 1, "threshold_operator": "~"}, "'=', '!=', '<'"),
        ({"type": "category", "categories": ["a"], "passing": ["b"]}, "'b' is in passing and is not one of the cat"),
        ({"type": "category", "categories": ["a"], "pattern": "("}, "'\\(' is not a regular expression"),
        ({"type": "jsonpath", "path": "answer"}, "it must start with \\$"),
        ({"type": "jsonpath", "path": "$.a", "operator": "in"}, "'=', '!=', '<'"),
        ({"type": "levenshtein", "max_distance": -1}, "greater than or equal to 0"),
        ({"type": "llm_judge", "rubric": "x"}, "either endpoint_id or url"),
        ({"type": "llm_judge", "rubric": "x", "url": "http://a.example/"}, "url and model go together"),
        ({"type": "llm_judge", "rubric": "x", "endpoint_id": KEY, "model": "m"}, "an endpoint names its model itself"),
        ({"type": "llm_judge", "endpoint_id": KEY, "rubric": "x" * 20_001}, "at most 20000 characters"),
        ({"type": "llm_judge", "endpoint_id": KEY, "rubric": "x", "include": ["input"]}, "include must have output"),
        ({"type": "llm_judge", "endpoint_id": KEY, "rubric": "x", "scale": NO_ROOM}, "min must be less than max"),
        ({"type": "llm_judge", "endpoint_id": KEY, "rubric": "x", "scale": ONE_CHOICE}, "at least 2 items"),
        ({"type": "webhook", "endpoint_id": KEY, "url": "http://a.example/"}, "either endpoint_id or url"),
        ({"type": "webhook", "url": "ftp://a.example/"}, "must be http or https"),
        ({"type": "webhook", "endpoint_id": KEY, "attempts": 11}, "less than or equal to 10"),
        ({"type": "metric"}, "Field required"),
        ({"type": "latency", "max_ms": 0}, "greater than 0"),
        ({"type": "http_status", "codes": []}, "at least 1 item"),
        ({"type": "http_status", "codes": [42]}, "greater than or equal to 100"),
    ],
)
def test_bad_metric_is_refused_with_a_sentence(metric: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        METRIC.validate_python(metric)


@pytest.mark.parametrize("key", ["not", "not_"])
def test_negation_has_two_spellings(key: str) -> None:
    assert METRIC.validate_python({"type": "equals", key: True}).not_


def test_specifications_survive_a_round_trip_through_json() -> None:
    spec = ConfigurationSpec.model_validate(
        {
            "metrics": [
                {"type": "extract", "pattern": "A: (.*)", "drop": ",", "not": True},
                {"type": "contains_all", "values": ["a"]},
            ]
        }
    )
    assert ConfigurationSpec.model_validate_json(spec.model_dump_json()) == spec
    assert ConfigurationSpec.model_validate(spec.model_dump(mode="json")) == spec
