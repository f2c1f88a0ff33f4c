"""The trivial tasks that both sides execute; the clock is the one all processes of a machine share."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task

from workerapp.base import BaseTask


@shared_task(base=BaseTask, bind=True, name="tests.bench.now")
def now(self: BaseTask) -> float:
    return time.monotonic()


@shared_task(base=BaseTask, bind=True, name="tests.bench.collect")
def collect(self: BaseTask, parts: list[Any]) -> list[float]:
    """The body of a chord: when its last part had ended, and when it ran itself."""
    return [max(parts), time.monotonic()]
