"""The origin's configuration, to compare with: stock SQLAlchemy broker, stock database backend, chord_unlock.

The settings and the base class are those of its documentation page.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

import httpx
from celery import Celery, Task

URL = os.environ.get("ORIGIN_URL", "")

app = Celery("origin", broker=f"sqla+{URL}", backend=f"db+{URL}", set_as_current=False)
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    timezone="UTC",
    enable_utc=True,
    chord_unlock_max_retries=3,
    result_persistent=False,
)


class BaseTask(Task):  # type: ignore[misc]  # Celery has no types
    """As the page has it."""

    autoretry_for = (Exception,)
    max_retries = 3
    retry_backoff = True
    retry_backoff_max = 600
    track_started = True


@app.task(base=BaseTask, name="origin.now")  # type: ignore[untyped-decorator]
def now() -> float:
    return time.monotonic()


@app.task(base=BaseTask, name="origin.collect")  # type: ignore[untyped-decorator]
def collect(parts: list[Any]) -> list[float]:
    """The body of a chord: when its last part had ended, and when it ran itself."""
    return [max(parts), time.monotonic()]


@cache
def _client() -> httpx.Client:
    """One for each process, which is in its favour."""
    return httpx.Client(timeout=30)


@app.task(base=BaseTask, name="origin.run_test")  # type: ignore[untyped-decorator]
def run_test(url: str, number: int) -> float:
    """One test: the application is asked, and its answer judged."""
    answer = _client().post(url, json={"question": f"question {number}"})
    assert answer.json()["output"] == "ok"
    return time.monotonic()


@app.task(base=BaseTask, name="origin.span")  # type: ignore[untyped-decorator]
def span(parts: list[Any]) -> float:
    """Seconds from the end of a chord's first part to that of its last."""
    return max(parts) - min(parts)
