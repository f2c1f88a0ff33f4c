"""Metrics give what the papers, libraries and standards they come from publish as examples."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.judging import score

#: RFC 9535, section 1.5, figure 1.
STORE = {
    "store": {
        "book": [
            {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95},
            {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99},
            {
                "category": "fiction",
                "author": "Herman Melville",
                "title": "Moby Dick",
                "isbn": "0-553-21311-3",
                "price": 8.99,
            },
            {
                "category": "fiction",
                "author": "J. R. R. Tolkien",
                "title": "The Lord of the Rings",
                "isbn": "0-395-19395-8",
                "price": 22.99,
            },
        ],
        "bicycle": {"color": "red", "price": 399},
    }
}
#: https://json-schema.org/learn/getting-started-step-by-step, 'Product'.
PRODUCT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/product.schema.json",
    "type": "object",
    "properties": {
        "productId": {"type": "integer"},
        "productName": {"type": "string"},
        "price": {"type": "number", "exclusiveMinimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
    },
    "required": ["productId", "productName", "price"],
}
GREEN_DOOR = {"productId": 1, "productName": "A green door", "price": 12.5, "tags": ["home", "green"]}


@pytest.mark.parametrize(
    ("output", "expected", "published"),
    [
        # https://rapidfuzz.github.io/RapidFuzz/Usage/distance/Levenshtein.html#normalized-similarity
        ("lewenstein", "levenshtein", 0.81818181818181),
        # https://docs.rs/strsim/0.11.0/strsim/fn.normalized_levenshtein.html
        ("kitten", "sitting", 0.571428),
        ("", "", 1),
        ("", "second", 0),
        ("string", "string", 1),
    ],
)
def test_levenshtein(output: str, expected: str, published: float) -> None:
    assert score({"type": "levenshtein"}, output, expected).score == pytest.approx(published, abs=1e-6)


@pytest.mark.parametrize(("most", "passed"), [(1, False), (2, True)])
def test_levenshtein_by_distance(most: int, *, passed: bool) -> None:
    # https://rapidfuzz.github.io/RapidFuzz/Usage/distance/Levenshtein.html#distance: 2
    assert score({"type": "levenshtein", "max_distance": most}, "lewenstein", "levenshtein").passed is passed


@pytest.mark.parametrize(
    ("output", "expected", "published"),
    [
        # Lin, ROUGE (2004), section 3.1: https://aclanthology.org/W04-1013
        ("police kill the gunman", "police killed the gunman", 3 / 4),
        ("the gunman kill police", "police killed the gunman", 2 / 4),
        ("the gunman police killed", "police killed the gunman", 2 / 4),
        # The tests of rouge-score: https://github.com/google-research/google-research/blob/master/rouge
        ("testing one", "testing one two", 4 / 5),
        ("testing two", "testing one two", 4 / 5),
        ("", "testing one two", 0),
        ("/", "w1 w2 w3 w4 w5", 0),
        ("w1", "", 0),
    ],
)
def test_rouge_l(output: str, expected: str, published: float) -> None:
    assert score({"type": "rouge_l"}, output, expected).score == pytest.approx(published)


@pytest.mark.parametrize(
    ("output", "expected", "published"),
    [
        # The examples of https://huggingface.co/spaces/evaluate-metric/squad
        ("1976", "1976", 1),
        ("1999", "1976", 0),
        ("Beyonce", "Beyoncé and Bruno Mars", 0),
        ("climate change", "climate change", 1),
        # By the rules of https://worksheets.codalab.org (evaluate-v2.0.py): case, punctuation, articles, no answer.
        ("The Broncos!", "broncos", 1),
        ("in Paris, France", "Paris", 0.5),
        ("the", "", 1),
        ("", "Paris", 0),
        # The likest of several references counts.
        ("in Santa Clara", ["Santa Clara, California", "Santa Clara"], 0.8),
    ],
)
def test_f1(output: str, expected: Any, published: float) -> None:
    assert score({"type": "f1"}, output, expected).score == pytest.approx(published)


@pytest.mark.parametrize(
    ("metric", "passed"),
    [
        # RFC 9535, section 1.5, table 2.
        ({"path": "$.store.book[*].author", "value": "Nigel Rees"}, True),
        ({"path": "$..author", "value": "Nigel Rees"}, True),
        ({"path": "$..book[2].author", "value": "Herman Melville"}, True),
        ({"path": "$..book[2].publisher", "operator": "exists"}, False),
        ({"path": "$..book[-1].title", "value": "The Lord of the Rings"}, True),
        ({"path": "$..book[?@.isbn].title", "value": "Moby Dick"}, True),
        ({"path": "$..book[?@.price<10].title", "value": "Sayings of the Century"}, True),
        ({"path": "$.store.bicycle.price", "value": 399}, True),
        ({"path": "$.store.bicycle.price", "operator": "<", "value": 400}, True),
        ({"path": "$.store.bicycle.price", "operator": ">", "value": "400"}, False),
    ],
)
def test_jsonpath(metric: dict[str, Any], *, passed: bool) -> None:
    assert score({"type": "jsonpath"} | metric, json.dumps(STORE)).passed is passed
    assert score({"type": "jsonpath"} | metric, STORE).passed is passed


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"price": 0}, "at $.price: 0 is less than or equal to the minimum of 0"),
        ({"tags": []}, "at $.tags: [] should be non-empty"),
        ({"tags": ["home", "home"]}, 'at $.tags: \'["home","home"]\' has an item twice'),
        ({"productId": "1"}, "at $.productId: '1' is not of type 'integer'"),
    ],
)
def test_json_schema(change: dict[str, Any], fault: str | None) -> None:
    judged = score({"type": "json_schema", "schema": PRODUCT}, json.dumps(GREEN_DOOR | change))
    assert judged.passed is (fault is None)
    assert fault is None or judged.reason == fault


@pytest.mark.parametrize(
    ("output", "passed"),
    [
        # RFC 8259, section 13.
        ('"Hello world!"', True),
        ("42", True),
        ("true", True),
        ('[{"precision": "zip", "Latitude": 37.7668, "Longitude": -122.3959}]', True),
        # Sections 6 and 2: what is not.
        ("NaN", False),
        ("-Infinity", False),
        ("012", False),
        ("{'a': 1}", False),
        ("[1,]", False),
        ("", False),
        ("Sure! {}", False),
        # What was JSON in the response.
        ({"a": 1}, True),
        (None, True),
    ],
)
def test_is_json(output: Any, *, passed: bool) -> None:
    assert score({"type": "is_json"}, output).passed is passed
