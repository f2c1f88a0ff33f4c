"""List the queues: how many messages wait for a worker, wait for their time, or are with a worker."""

from __future__ import annotations

import argparse

from gateway.cli.admin.operations import DEAD_AFTER, add_operation_arguments, operating
from gateway.cli.failures import ExitStatus
from gateway.cli.rows import print_rows

_QUEUES = (
    "SELECT queue, ready, delayed, leased, oldest_ready_at, consumers, organization_count AS organizations"
    " FROM admin_queues(make_interval(secs => %s), 0) ORDER BY queue"
)
_BY_ORGANIZATION = (
    "SELECT q.queue, o->>'organization' AS organization, (o->>'ready')::bigint AS ready,"
    " (o->>'delayed')::bigint AS delayed, (o->>'leased')::bigint AS leased"
    " FROM admin_queues(make_interval(secs => %s), 2147483647) AS q, jsonb_array_elements(q.organizations) AS o"
    " ORDER BY q.queue, ready DESC, organization"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_operation_arguments(parser)
    parser.add_argument("--by-organization", action="store_true", help="a line for each organization in each queue")


def execute(options: argparse.Namespace) -> int:
    """List them."""
    statement = _BY_ORGANIZATION if options.by_organization else _QUEUES
    with operating(options) as connection:
        rows = connection.execute(statement, (DEAD_AFTER,)).fetchall()
    print_rows(rows, as_json=options.json)
    return ExitStatus.OK
