"""The options that say which events of an organization are wanted."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli.arguments import words

_NAMES = ("types", "task_name", "test_run_id", "status")


def add_filter_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    filters = parser.add_argument_group("only events that are one of the values of each")
    filters.add_argument("--types", type=words, metavar="A,B", help="such as test_run.completed or task.*")
    filters.add_argument("--task-name", type=words, metavar="A,B", help="of tasks of these names")
    filters.add_argument("--run", dest="test_run_id", type=words, metavar="A,B", help="of these runs and their tests")
    filters.add_argument("--status", type=words, metavar="A,B", help="that led to these states")


def read_filters(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as parameters."""
    return {name: value for name in _NAMES if (value := getattr(options, name))}
