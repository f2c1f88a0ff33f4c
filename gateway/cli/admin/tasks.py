"""List the tasks that workers are executing: whose they are, where, and for how long; the oldest first."""

from __future__ import annotations

import argparse

from gateway.cli.admin.operations import DEAD_AFTER, add_operation_arguments, operating
from gateway.cli.failures import ExitStatus
from gateway.cli.rows import print_rows

_TASKS = (
    "SELECT task_id, name, organization, age_seconds, status, node, pid, test_run_id"
    " FROM admin_active_tasks(make_interval(secs => %s)) ORDER BY age_seconds DESC, task_id"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_operation_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """List them."""
    with operating(options) as connection:
        rows = connection.execute(_TASKS, (DEAD_AFTER,)).fetchall()
    print_rows(rows, as_json=options.json)
    return ExitStatus.OK
