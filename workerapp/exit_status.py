"""A worker that is interrupted once and stops in good order has not failed, whatever Celery makes its exit status."""

from __future__ import annotations

from typing import Any

from celery import bootsteps, signals
from celery.platforms import EX_OK


class ExitStatusStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Hears how the worker is told to stop: by Ctrl+C as by SIGTERM it finishes what it is at."""

    def __init__(self, worker: Any, **_: Any) -> None:
        self._is_interrupted = False
        signals.worker_shutting_down.connect(self._hear, weak=False, dispatch_uid="workerapp.exit_status")

    def start(self, worker: Any) -> None:
        pass

    def stop(self, worker: Any) -> None:
        if self._is_interrupted:
            worker.exitcode = EX_OK

    def terminate(self, worker: Any) -> None:
        """It was interrupted again, and did not finish: that stays a failure."""

    def _hear(self, sig: str, how: str, **_: Any) -> None:
        self._is_interrupted = (sig, how) == ("SIGINT", "Warm")
