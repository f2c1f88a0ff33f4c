"""Measures the origin's configuration with its own worker. Clocks are read inside its tasks, which is in its favour."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery, chord

from tests.stack.process import Process
from tests.waiting import until


class OriginWorker(Process):
    """`celery -A tests.bench.origin worker`; the origin's own has eight children."""

    def __init__(self, url: str, children: int = 4) -> None:
        arguments = ["-m", "celery", "-A", "tests.bench.origin", "worker", "-c", str(children), "-l", "INFO"]
        super().__init__("origin worker", arguments, {"ORIGIN_URL": url})

    def start(self) -> None:
        super().start()
        self.wait_for(r"ready\.$")


def submit_to_started(app: Celery, samples: int) -> list[float]:
    """Milliseconds from `delay` until the task runs."""
    found = []
    for number in range(samples):
        begin = time.monotonic()
        found.append((_result(app.tasks["origin.now"].delay()) - begin) * 1000)
        time.sleep(0.137 * (number % 7))  # so that submissions do not keep step with the broker's polling
    return found


def last_part_to_body(app: Celery, samples: int, parts: int = 10) -> list[float]:
    """Milliseconds from the end of a chord's last part until its body runs."""
    found = []
    for _ in range(samples):
        header = [app.tasks["origin.now"].s() for _ in range(parts)]
        last, ran = _result(chord(header, app=app)(app.tasks["origin.collect"].s()))
        found.append((ran - last) * 1000)
    return found


def fill_queue(app: Celery, tasks: int) -> list[Any]:
    """Publish trivial tasks; no worker runs yet."""
    with app.connection_for_write() as connection:
        return [app.tasks["origin.now"].apply_async(connection=connection) for _ in range(tasks)]


def trivial_tasks_per_second(results: list[Any]) -> float:
    """How fast the worker that was just started empties the queue."""
    until(results[-1].ready, seconds=180, pause=0.2)
    found = sorted(_result(result) for result in results)
    return float(len(found) / (found[-1] - found[0]))


def _result(result: Any) -> Any:
    until(result.ready, seconds=60, pause=0.02)
    return result.result
