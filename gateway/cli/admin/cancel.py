"""Cancel a test run of any organization: nothing more is asked, results that exist are kept."""

from __future__ import annotations

import argparse
from uuid import UUID

from gateway.cli.admin.operations import add_operation_arguments, operating
from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.rows import print_rows
from gateway.operator_audit import note_operation
from workerapp.contract.states import FINAL_RUN_STATUSES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("test_run_id", type=UUID, help="the run's id")
    add_operation_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Cancel it."""
    with operating(options) as connection:
        connection.execute("SELECT admin_end_run(%s)", (options.test_run_id,))
        run = connection.execute("SELECT * FROM admin_run(%s)", (options.test_run_id,)).fetchone()
        if run is not None:
            status = run["status"]
            note_operation(connection, "test_run.cancel", options.test_run_id, run["organization_id"], status=status)
    if run is None:
        raise CommandFailed(f"there is no run {options.test_run_id}")
    if options.json:
        print_rows([run], as_json=True)
    elif run["status"] in FINAL_RUN_STATUSES:
        print(f"The run {options.test_run_id} has ended: {run['status']}.")
    else:
        print(f"The run {options.test_run_id} is being cancelled.")
    return ExitStatus.OK
