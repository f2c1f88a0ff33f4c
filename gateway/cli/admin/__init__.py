"""See and end work of all organizations, with a login of the database; so it works whatever else is down."""

from __future__ import annotations

import argparse

from gateway.cli.admin import cancel, purge, queues, revoke, tasks, terminate, workers

#: What each action does.
_ACTIONS = {
    "workers": (workers, "list workers"),
    "tasks": (tasks, "list the tasks that are being executed"),
    "queues": (queues, "list queues and how much is in them"),
    "cancel": (cancel, "cancel a test run"),
    "revoke": (revoke, "revoke a task that waits"),
    "terminate": (terminate, "stop a task, also while it is executed"),
    "purge": (purge, "remove all that waits in a queue"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, (module, purpose) in _ACTIONS.items():
        action = actions.add_parser(name, help=purpose, description=module.__doc__)
        module.add_arguments(action)
        action.set_defaults(action=module.execute)


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    status: int = options.action(options)
    return status
