"""Stop a task, also while it is executed: its process is killed, its worker lives on.

The task of a run cancels the run.
"""

from __future__ import annotations

import argparse

from gateway.cli.admin.operations import add_operation_arguments, end_task
from gateway.cli.failures import ExitStatus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("task_id", help="the task's id")
    add_operation_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Stop it."""
    end_task(options, options.task_id, running=True)
    return ExitStatus.OK
