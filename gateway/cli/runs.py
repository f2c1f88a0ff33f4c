"""The test runs of your organization: list and show them, read their results, cancel them, try again what failed."""

from __future__ import annotations

import argparse

from gateway.cli.arguments import at_least_one, given, words
from gateway.cli.failures import ExitStatus
from gateway.cli.findings import first_of, print_found, print_one
from gateway.cli.interruption import ending_at_once
from gateway.cli.server import add_json_argument, add_server_arguments, prints_json, talking

_COLUMNS = ("id", "status", "total", "pending", "passed", "failed", "errored", "pass_rate", "created_at")
_RESULT_COLUMNS = ("position", "repeat", "status", "input", "expected", "output", "latency_ms")
_FILTERS = ("status", "test_configuration_id", "run_group_id")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list runs, the latest first")
    listing.set_defaults(action=_list)
    listing.add_argument("--status", type=words, metavar="A,B", help="only those in these states, such as partial")
    listing.add_argument(
        "--configuration", dest="test_configuration_id", metavar="ID", help="only those of this configuration"
    )
    listing.add_argument("--group", dest="run_group_id", metavar="ID", help="only those of this group")
    show = actions.add_parser("show", help="show one, with its counts")
    show.set_defaults(action=_show)
    results = actions.add_parser("results", help="list what came of each test, in the order of the tests")
    results.set_defaults(action=_results)
    results.add_argument("--status", type=words, default=[], metavar="A,B", help="only those, such as fail,error")
    cancel = actions.add_parser("cancel", help="cancel one; results that there are stay")
    cancel.set_defaults(action=_cancel)
    retry = actions.add_parser("retry", help="start a run of the tests of one that failed or could not be executed")
    retry.set_defaults(action=_retry)
    retry.add_argument(
        "--statuses",
        type=words,
        default=["fail", "error"],
        metavar="A,B",
        help="of fail, error and cancelled (default: fail,error)",
    )
    for action in (show, results, cancel, retry):
        action.add_argument("test_run_id", metavar="RUN", help="the run's id")
    for action in (listing, results):
        action.add_argument("--limit", type=at_least_one, metavar="N", help="the first N (default: all)")
    for action in (listing, show, results, cancel, retry):
        add_server_arguments(action)
        add_json_argument(action)


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    with ending_at_once():
        options.action(options)
    return ExitStatus.OK


def _list(options: argparse.Namespace) -> None:
    with talking(options) as client:
        found = client.list_test_runs(**given(options, _FILTERS))
        print_found(first_of(found, options.limit), _COLUMNS, as_json=prints_json(options))


def _show(options: argparse.Namespace) -> None:
    with talking(options) as client:
        print_one(client.get_test_run(options.test_run_id), as_json=prints_json(options))


def _results(options: argparse.Namespace) -> None:
    with talking(options) as client:
        found = client.list_results(client.get_test_run(options.test_run_id), options.status)
        print_found(first_of(found, options.limit), _RESULT_COLUMNS, as_json=prints_json(options))


def _cancel(options: argparse.Namespace) -> None:
    with talking(options) as client:
        print_one(client.cancel(client.get_test_run(options.test_run_id)), as_json=prints_json(options))


def _retry(options: argparse.Namespace) -> None:
    with talking(options) as client:
        run = client.get_test_run(options.test_run_id)
        print_one(client.retry(run, options.statuses), as_json=prints_json(options))
