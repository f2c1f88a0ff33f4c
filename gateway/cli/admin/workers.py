"""List the workers that report to the database, and how busy they are."""

from __future__ import annotations

import argparse

from gateway.cli.admin.operations import DEAD_AFTER, add_operation_arguments, operating
from gateway.cli.failures import ExitStatus
from gateway.cli.rows import print_rows

_WORKERS = (
    "SELECT node, is_alive AS alive, pid, pool, concurrency, queues, active, reserved, started_at, seen_at"
    " FROM admin_workers(make_interval(secs => %s)) ORDER BY node"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_operation_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """List them."""
    with operating(options) as connection:
        rows = connection.execute(_WORKERS, (DEAD_AFTER,)).fetchall()
    print_rows(rows, as_json=options.json)
    return ExitStatus.OK
