"""Remove every waiting message of a queue, whoever's it is: their tasks end as REVOKED, their runs as cancelled."""

from __future__ import annotations

import argparse
import sys

from gateway.cli.admin.operations import add_operation_arguments, operating
from gateway.cli.failures import ExitStatus, UsageInvalid
from gateway.cli.rows import print_rows
from gateway.operator_audit import note_operation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("queue", help="the queue's name, as `gateway admin queues` shows it")
    parser.add_argument("--confirm", metavar="QUEUE", help="its name once more; asked for when it is not given")
    add_operation_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Purge it, once it is confirmed."""
    if _confirmation(options) != options.queue:
        raise UsageInvalid(f"nothing was removed: to confirm it, give the queue's name, --confirm {options.queue}")
    with operating(options) as connection:
        row = connection.execute("SELECT purge_queue(%s) AS messages", (options.queue,)).fetchone()
        assert row is not None
        note_operation(connection, "queue.purge", options.queue, None, messages=row["messages"])
    if options.json:
        print_rows([{"queue": options.queue, **row}], as_json=True)
    else:
        print(f"{row['messages']} messages were removed from {options.queue}.")
    return ExitStatus.OK


def _confirmation(options: argparse.Namespace) -> str | None:
    if options.confirm is None and sys.stdin.isatty():
        return input(f"Type {options.queue} to remove all that waits in it: ").strip()
    confirmed: str | None = options.confirm
    return confirmed
