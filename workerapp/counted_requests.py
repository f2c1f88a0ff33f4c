"""Requests of Celery's that tell how they end, whatever their task is made of.

The worker's main process has a request for each message it holds, and learns there what became of the task: also of one
whose process was killed, and that could not say so itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject, Retry, Terminated, TimeLimitExceeded, WorkerLostError
from celery.worker.request import ExceptionWithTraceback
from kombu.utils.imports import symbol_by_name

from workerapp.task_metrics import TaskMetrics


class Outcome(StrEnum):
    """How a task has ended here; what was retried or handed back comes again."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    #: It leaves its end to others, as a lane does that has not finished.
    IGNORED = "ignored"
    REJECTED = "rejected"
    REVOKED = "revoked"
    EXPIRED = "expired"
    #: It was killed by its time limit.
    TIMED_OUT = "timed_out"
    #: Its process was gone.
    LOST = "lost"
    #: It was delivered too often, and is not executed.
    POISONED = "poisoned"


_OF_EXCEPTIONS: tuple[tuple[type[BaseException], Outcome], ...] = (
    (Retry, Outcome.RETRIED),
    (Ignore, Outcome.IGNORED),
    (Reject, Outcome.REJECTED),
    (Terminated, Outcome.REVOKED),
    (TimeLimitExceeded, Outcome.TIMED_OUT),
    (WorkerLostError, Outcome.LOST),
    (SystemExit, Outcome.LOST),
)


class Counted:
    """Beside a class of Celery's requests; each is counted once, by what happens first."""

    #: Of Celery's request.
    time_start: float | None
    type: str
    metrics: TaskMetrics
    _is_counted = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Celery derives a class for each task, whose `on_success` calls nobody else's."""
        super().__init_subclass__(**options)
        if "on_success" in vars(cls):
            cls.on_success = _counting(vars(cls)["on_success"])  # type: ignore[attr-defined]

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        self._count(_outcome_of(exc_info.exception))
        return super().on_failure(exc_info, *args, **options)  # type: ignore[misc]

    def on_timeout(self, soft: Any, timeout: Any) -> Any:
        if not soft:
            self._count(Outcome.TIMED_OUT)
        return super().on_timeout(soft, timeout)  # type: ignore[misc]

    def revoked(self) -> bool:
        is_revoked = bool(super().revoked())  # type: ignore[misc]
        if is_revoked:
            self._count(Outcome.POISONED)
        return is_revoked

    def _announce_revoked(self, reason: str, *args: Any) -> Any:
        self._count(Outcome.EXPIRED if reason == "expired" else Outcome.REVOKED)
        return super()._announce_revoked(reason, *args)  # type: ignore[misc]

    def _count(self, outcome: Outcome) -> None:
        if self._is_counted:
            return
        self._is_counted = True
        began = self.time_start
        self.metrics.count(self.type, outcome, None if began is None else max(time.time() - began, 0.0))


def _counting(on_success: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(on_success)
    def counted(self: Counted, outcome: Any, **options: Any) -> Any:
        answer = on_success(self, outcome, **options)
        # Unless it was a failure after all, and has been counted.
        self._count(Outcome.SUCCEEDED)
        return answer

    return counted


def _outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, ExceptionWithTraceback):
        error = error.exc
    return next((outcome for kind, outcome in _OF_EXCEPTIONS if isinstance(error, kind)), Outcome.FAILED)


def count_requests(app: Celery, metrics: TaskMetrics) -> None:
    """Let the requests of every task be counted; to be called before the first message is fetched."""
    metrics.show_zeros(app.tasks, Outcome)
    for task in app.tasks.values():
        base = symbol_by_name(task.Request)  # type: ignore[no-untyped-call]
        task.Request = type(base.__name__, (Counted, base), {"metrics": metrics})
