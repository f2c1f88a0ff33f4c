"""Stock Celery with the broker and the backend of its environment, to compare with."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery


def make_app(broker: str, backend: str, queue: str) -> Celery:
    app = Celery("stock", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(task_default_queue=queue, task_track_started=True, task_serializer="json", result_serializer="json")

    @app.task(name="tests.bench.now", shared=False)  # type: ignore[untyped-decorator]
    def now() -> float:
        return time.monotonic()

    @app.task(name="tests.bench.collect", shared=False)  # type: ignore[untyped-decorator]
    def collect(parts: list[Any]) -> list[float]:
        return [max(parts), time.monotonic()]

    return app


app = make_app(
    os.environ.get("STOCK_BROKER", "memory://"),
    os.environ.get("STOCK_BACKEND", "cache+memory://"),
    os.environ.get("STOCK_QUEUE", "celery"),
)
