"""Which modules a worker imports for their tasks: ours, those of installed packages, and those of a setting."""

from __future__ import annotations

import pkgutil
from importlib.metadata import entry_points

import workerapp.tasks
from workerapp.contract.task_types import ENTRY_POINTS
from workerapp.settings import WorkerSettings


class TaskModuleNotImported(SystemExit):
    """The worker does not start: a task that callers may rely on would be missing."""

    def __init__(self, module: str, error: ImportError) -> None:
        super().__init__(
            f"The module {module!r} cannot be imported for its tasks: {error}. It is named by "
            f"GATEWAY_TASK_MODULES, or by an installed package as an entry point of the group {ENTRY_POINTS!r}."
        )


def task_modules(settings: WorkerSettings) -> tuple[str, ...]:
    """The modules, each once."""
    ours = (f"workerapp.tasks.{module.name}" for module in pkgutil.iter_modules(workerapp.tasks.__path__))
    of_packages = (point.module for point in entry_points(group=ENTRY_POINTS))
    return tuple(dict.fromkeys((*ours, *of_packages, *settings.task_modules)))
