"""The options of `gateway run` that hold for its run instead of what the suite says, and its size."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import ValidationError

from gateway.cli.failures import UsageInvalid
from gateway.cli.suite import Suite
from workerapp.contract.specs import RunOptions, Sample


def add_option_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("for this run, instead of what the suite says")
    group.add_argument("--repeats", type=int, metavar="N", help="execute each test so often")
    group.add_argument("--max-failures", type=int, metavar="N", help="end the run after so many failures and errors")
    sample = parser.add_argument_group("a sample of the tests, instead of the suite's")
    sample.add_argument("--first", type=int, metavar="N", help="the first tests")
    sample.add_argument("--random", type=int, metavar="N", help="so many tests at random")
    sample.add_argument("--seed", type=int, metavar="S", help="the same tests whenever the seed is the same")
    sample.add_argument("--tags", metavar="A,B", help="only tests that have one of these tags")


def read_options(arguments: argparse.Namespace) -> RunOptions:
    """What the options say.

    Raises:
        UsageInvalid: something that no run can have.
    """
    given = {"repeats": arguments.repeats, "max_failures": arguments.max_failures, "sample": _sample(arguments)}
    try:
        return RunOptions.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise UsageInvalid(_sentence(dict(error.errors(include_url=False)[0]))) from None


def options_of(suite: Suite, overrides: RunOptions) -> RunOptions:
    """What holds for a run of the suite."""
    said = {name: value for name, value in suite.configuration.items() if name in RunOptions.model_fields}
    return RunOptions.model_validate(said | overrides.model_dump(exclude_unset=True))


def count_results(suite: Suite, options: RunOptions) -> int:
    """How many results such a run is going to have."""
    tests = suite.test_set["tests"]
    if options.sample is not None:
        tests = _chosen(tests, options.sample)
    return len(tests) * options.repeats


def _chosen(tests: list[dict[str, Any]], sample: Sample) -> list[dict[str, Any]]:
    """As many tests as the sample has, and not always the same ones."""
    tagged = [test for test in tests if sample.tags is None or set(sample.tags) & set(test.get("tags", ()))]
    return tagged[: sample.most]


def _sample(arguments: argparse.Namespace) -> dict[str, Any] | None:
    tags = None if arguments.tags is None else [tag.strip() for tag in arguments.tags.split(",")]
    parts = {"first": arguments.first, "random": arguments.random, "seed": arguments.seed, "tags": tags}
    given = {name: value for name, value in parts.items() if value is not None}
    return given or None


def _sentence(error: dict[str, Any]) -> str:
    option = next((part for part in reversed(error["loc"]) if isinstance(part, str) and part != "sample"), None)
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if option is None else f"--{option.replace('_', '-')}: {message}"
