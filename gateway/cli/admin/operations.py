"""What the actions of `gateway admin` share: they speak to the database, so they work whatever else is down."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.cli.failures import CommandFailed
from gateway.cli.operator_database import add_database_argument, database_url
from gateway.cli.rows import print_rows
from gateway.operator_audit import note_operation
from gateway.settings import GatewaySettings
from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.contract.states import FINAL_TASK_STATES
from workerapp.db.address import DatabaseAddress

#: The functions that cross organizations are this role's; the logins that serve may act as it, and so may the owner.
ROLE = "gateway_rw"
#: After this a worker that does not report counts as dead, unless the gateway is told otherwise.
DEAD_AFTER = GatewaySettings.model_fields["worker_dead_seconds"].default

Connection = psycopg.Connection[dict[str, Any]]


def add_operation_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every such command."""
    add_database_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line")


@contextmanager
def operating(options: argparse.Namespace) -> Iterator[Connection]:
    """One transaction across organizations; those who listen are told when it has committed.

    Raises:
        CommandFailed: the database cannot be reached, refuses, or has no schema yet.
    """
    address = DatabaseAddress.parse(database_url(options.database_url))
    conninfo = address.conninfo(role=ROLE, application_name="gateway-operator")
    try:
        with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as connection:
            with connection.transaction():
                yield connection
            connection.execute("SELECT pg_notify(%s, ''), pg_notify(%s, '')", (CONTROL_CHANNEL, EVENT_CHANNEL))
    except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidParameterValue) as error:
        raise CommandFailed(
            f"{address.redacted()} has no schema of this version; run `gateway migrate` first"
        ) from error
    except psycopg.Error as error:
        problem = str(error).strip().splitlines()[0]
        raise CommandFailed(f"the database {address.redacted()} cannot be used: {problem}") from error


def end_task(options: argparse.Namespace, task_id: str, *, running: bool) -> None:
    """End a task, or the run that was submitted as it, and say what came of it."""
    with operating(options) as connection:
        connection.execute("SELECT admin_end_task(%s, %s)", (task_id, running))
        task = connection.execute("SELECT * FROM admin_task(%s)", (task_id,)).fetchone()
        if task is not None:
            action = "task.terminate" if running else "task.revoke"
            note_operation(connection, action, task_id, task["organization_id"], status=task["status"])
    if task is None:
        raise CommandFailed(f"there is no task {task_id}")
    if options.json:
        print_rows([task], as_json=True)
    elif task["status"] in FINAL_TASK_STATES:
        print(f"The task {task_id} has ended: {task['status']}.")
    elif running:
        print(f"The task {task_id} is a run's and ends with it: {task['status']}.")
    else:
        print(f"The task {task_id} is being executed ({task['status']}); `gateway admin terminate` stops it.")
