"""What the options of `gateway run` say about a run."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from gateway.cli.failures import UsageInvalid
from gateway.cli.run_options import add_option_arguments, count_results, options_of, read_options
from gateway.cli.suite import Suite
from workerapp.contract.specs import RunOptions


def read(*words: str) -> RunOptions:
    parser = argparse.ArgumentParser()
    add_option_arguments(parser)
    return read_options(parser.parse_args(words))


def suite(**configuration: Any) -> Suite:
    """Ten tests; every other one has a tag."""
    tests = [{"input": f"q{n}", "tags": ["even"]} if n % 2 == 0 else {"input": f"q{n}"} for n in range(10)]
    named = {"name": "suite", "metrics": []}
    return Suite(endpoint={}, test_set={"tests": tests}, configuration=named | configuration)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", {}),
        ("--repeats 3 --max-failures 5", {"repeats": 3, "max_failures": 5}),
        ("--first 20", {"sample": {"first": 20}}),
        ("--random 20 --seed 7 --tags a,b", {"sample": {"random": 20, "seed": 7, "tags": ["a", "b"]}}),
    ],
)
def test_only_what_is_given_is_said(words: str, said: dict[str, Any]) -> None:
    assert read(*words.split()).model_dump(exclude_unset=True) == said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--repeats 0", "--repeats: Input should be greater than or equal to 1"),
        ("--max-failures 0", "--max-failures: Input should be greater than or equal to 1"),
        ("--random 0", "--random: Input should be greater than or equal to 1"),
        ("--tags a,,b", "--tags: String should have at least 1 character"),
        ("--first 1 --random 1", "give first or random, not both"),
        ("--seed 1", "say which tests"),
    ],
)
def test_what_no_run_can_have_is_said_by_the_option(words: str, sentence: str) -> None:
    with pytest.raises(UsageInvalid) as caught:
        read(*words.split())
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("configuration", "words", "results"),
    [
        ({}, "", 10),
        ({"repeats": 2}, "", 20),
        ({"repeats": 2, "sample": {"first": 4}}, "", 8),
        ({"sample": {"first": 4}}, "--tags even --repeats 3", 15),
        ({}, "--tags even --random 3", 3),
        ({}, "--tags odd", 0),
    ],
)
def test_the_results_of_a_run_are_counted_before_it_is_planned(
    configuration: dict[str, Any], words: str, results: int
) -> None:
    asked = suite(**configuration)
    assert count_results(asked, options_of(asked, read(*words.split()))) == results
