"""Lets a task tell how far it is: often, because only a part of what it tells is written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from celery import Task

from workerapp.contract.progress import Amount, Progress, Rate, check_amounts, check_message, storable_message

logger = logging.getLogger(__name__)

#: Seconds between two writes of a task's progress, unless the app's `progress_interval` says otherwise.
INTERVAL = 0.5
#: After a write that took long, as many times its duration pass before the next: telling must not hold the task up.
RESPITE = 9


class Told(NamedTuple):
    """What a task said at one moment."""

    done: Amount
    total: Amount | None
    message: str | None
    clock: float
    at: datetime

    @property
    def is_last(self) -> bool:
        """Whether all is done."""
        return self.total is not None and self.done >= self.total


class ProgressReports:
    """What one attempt of a task tells: the first and the last are written, and between them one an interval."""

    def __init__(
        self, write: Callable[[Progress], bool], interval: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._write = write
        self._interval = interval
        self._clock = clock
        self._due = float("-inf")
        self._rate: Rate | None = None
        self._held: Told | None = None
        self._has_told_the_last = False

    def tell(self, done: Any, total: Any = None, message: Any = None) -> None:
        """Write it, or hold it until something newer is written or the task ends; raises as `check_amounts` does."""
        amounts, text = check_amounts(done, total), check_message(message)
        self._held = told = Told(*amounts, text, self._clock(), datetime.now(UTC))
        if told.clock >= self._due or (told.is_last and not self._has_told_the_last):
            self._has_told_the_last = told.is_last
            self._send(told)

    @property
    def held(self) -> Progress | None:
        """The newest that was told, if it is not written."""
        return None if self._held is None else self._progress(self._held, self._rate_at(self._held))

    def _send(self, told: Told) -> None:
        rate = self._rate_at(told)
        if self._write(self._progress(told, rate)):
            self._rate, self._held = rate, None
        ended = self._clock()
        self._due = ended + max(self._interval, RESPITE * (ended - told.clock))

    def _rate_at(self, told: Told) -> Rate:
        if self._rate is None:
            return Rate(told.clock, told.clock, told.done)
        return self._rate.after(told.done, told.clock)

    @staticmethod
    def _progress(told: Told, rate: Rate) -> Progress:
        eta = None if told.total is None else rate.eta(told.total - told.done)
        message = storable_message(told.message)
        return Progress(done=told.done, total=told.total, message=message, eta_seconds=eta, at=told.at)


class ProgressTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task that can tell how far it is; a base for any app whose result backend is the gateway's."""

    abstract = True

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the running task is, as often as you like: most calls write nothing and cost microseconds.

        Callers get `task.progress` events with an estimate of when the task ends, if `total` is given. Call it from
        the thread that executes the task. Where no worker executes it, the arguments are checked and that is all.

        Raises:
            TypeError: `done` or `total` is no number, or `message` no text.
            ProgressInvalid: a number is negative, not finite or too large, or `done` is more than `total`.
        """
        request = self.request
        reports = getattr(request, "progress_reports", None)
        if reports is None:
            reports = request.progress_reports = self._reports(request)
        reports.tell(done, total, message)

    def _reports(self, request: Any) -> ProgressReports:
        interval = float(self.app.conf.get("progress_interval", INTERVAL))
        store = getattr(self.backend, "store_progress", None)
        if store is None or request.called_directly or request.is_eager:
            return ProgressReports(lambda _: True, interval)
        return ProgressReports(partial(_store, store, request), interval)


def held_progress(request: Any) -> str | None:
    """What a task that ends has told last, as JSON, if it is not written yet."""
    reports: ProgressReports | None = getattr(request, "progress_reports", None)
    held = None if reports is None else reports.held
    return None if held is None else held.as_json()


def _store(store: Callable[[Any, Progress], bool], request: Any, progress: Progress) -> bool:
    """Write; a task goes on although it cannot be told how far it is."""
    try:
        return store(request, progress)
    except psycopg.Error as error:
        fields = {"task_id": request.id, "error": type(error).__name__}
        if not getattr(request, "progress_failed", False):
            request.progress_failed = True
            logger.warning("task_progress_not_written", extra=fields)
        return False
