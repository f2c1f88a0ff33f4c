"""Refusals of tasks that could not be executed as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import Fault, ValidationFailed

MOST_FAULTS = 20


class TaskUnknown(ValidationFailed):
    """No worker that would get it has this task."""

    code, title = "task_unknown", "There is no such task"


class ArgumentsInvalid(ValidationFailed):
    """The task cannot be called with these arguments; the faults say why."""

    code, title = "arguments_invalid", "The arguments are not valid"


class ScheduleInvalid(ValidationFailed):
    """The times cannot be kept, or contradict each other."""

    code, title = "schedule_invalid", "The times are not valid"


def refusal(kind: type[ValidationFailed], faults: Sequence[Fault]) -> ValidationFailed:
    """The answer that lists the faults, and tells the first one."""
    first = faults[0]
    more = f" ({len(faults) - 1} more in errors.)" if len(faults) > 1 else ""
    return kind(f"{first.pointer}: {first.detail}{more}", faults=faults)
