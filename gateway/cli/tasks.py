"""The tasks of your organization: list, show, submit and cancel them over REST.

What workers execute of all organizations is what `gateway admin tasks` lists, with a login of the database.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from gateway.cli.arguments import at_least_one, given, instant, seconds, words
from gateway.cli.failures import ExitStatus
from gateway.cli.findings import first_of, print_found, print_one
from gateway.cli.interruption import ending_at_once
from gateway.cli.server import add_json_argument, add_server_arguments, prints_json, talking

_COLUMNS = ("task_id", "name", "status", "queue", "worker", "created_at", "finished_at")
#: What a submission may say beside the task's name and arguments.
_OPTIONS = ("queue", "countdown", "expires", "priority")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list tasks, the latest first")
    listing.set_defaults(action=_list)
    listing.add_argument("--status", type=words, metavar="A,B", help="only those in these states, such as FAILURE")
    listing.add_argument("--limit", type=at_least_one, metavar="N", help="the latest N (default: all)")
    show = actions.add_parser("show", help="show one, with what came of it")
    show.set_defaults(action=_show)
    submit = actions.add_parser("submit", help="submit one")
    submit.set_defaults(action=_submit)
    submit.add_argument("name", help="the task's name")
    submit.add_argument("args", nargs="*", metavar="ARG", help="an argument: JSON, or a text as it is")
    submit.add_argument("--kwargs", type=_json_object, default={}, metavar="JSON", help="named arguments, as an object")
    submit.add_argument("--queue", help="another queue than the usual one")
    beginning = submit.add_mutually_exclusive_group()
    beginning.add_argument("--countdown", type=seconds, metavar="SECONDS", help="not before so many seconds are over")
    beginning.add_argument("--eta", type=instant, metavar="TIME", help="not before this time")
    submit.add_argument("--expires", type=seconds, metavar="SECONDS", help="only if it begins within so many seconds")
    submit.add_argument("--priority", type=int, metavar="N", help="from 0 to 9, those with the highest first")
    submit.add_argument("--wait", action="store_true", help="wait for the end, and exit with 1 if it is not SUCCESS")
    cancel = actions.add_parser("cancel", help="cancel one; one that has ended stays as it is")
    cancel.set_defaults(action=_cancel)
    for action in (show, cancel):
        action.add_argument("task_id", metavar="TASK", help="the task's id")
    for action in (listing, show, submit, cancel):
        add_server_arguments(action)
        add_json_argument(action)


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    with ending_at_once():
        status: int = options.action(options)
    return status


def _list(options: argparse.Namespace) -> int:
    with talking(options) as client:
        found = client.list_tasks(**given(options, ["status"]))
        print_found(first_of(found, options.limit), _COLUMNS, as_json=prints_json(options))
    return ExitStatus.OK


def _show(options: argparse.Namespace) -> int:
    with talking(options) as client:
        print_one(client.get_task(options.task_id), as_json=prints_json(options))
    return ExitStatus.OK


def _submit(options: argparse.Namespace) -> int:
    further = given(options, _OPTIONS)
    if options.eta is not None:
        further["eta"] = options.eta.isoformat()
    with talking(options) as client:
        submitted = client.submit_task(
            options.name, [_argument(text) for text in options.args], options.kwargs, **further
        )
        if not options.wait:
            print_one(submitted, as_json=prints_json(options))
            return ExitStatus.OK
        task = client.wait(submitted)
    print_one(task, as_json=prints_json(options))
    return ExitStatus.OK if task.is_good else ExitStatus.FAILED


def _cancel(options: argparse.Namespace) -> int:
    with talking(options) as client:
        print_one(client.cancel(client.get_task(options.task_id)), as_json=prints_json(options))
    return ExitStatus.OK


def _argument(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'{text} is not an object, such as {{"seconds": 3}}')
    return value
