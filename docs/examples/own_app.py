"""A Celery app of your own, with the gateway's Postgres as its result backend and its broker.

Start a worker in this folder with `celery -A own_app worker`, then run `python own_app.py`. DATABASE_URL is the
gateway's database and ORGANIZATION_ID the organization that the tasks belong to; docs/celery.md tells the rest.
"""

# ruff: noqa: INP001, T201 - a script
from __future__ import annotations

import os

from celery import Celery, chord

from workerapp import broker
from workerapp.progress import ProgressTask

broker.register()  # lets `postgresql://` mean the gateway's broker; leave it out to keep your own

app = Celery(
    "own_app",
    broker=os.environ["DATABASE_URL"],
    backend="workerapp.backend:PostgresBackend+" + os.environ["DATABASE_URL"],
)
app.conf.default_organization = os.environ.get("ORGANIZATION_ID")
app.conf.task_acks_late = True
app.conf.task_track_started = True


@app.task
def square(number: int) -> int:
    return number * number


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(bind=True, base=ProgressTask)
def add_up(self: ProgressTask, numbers: list[int]) -> int:
    total = 0
    for done, number in enumerate(numbers, start=1):
        total += number
        self.progress(done, len(numbers), f"added {number}")
    return total


if __name__ == "__main__":
    result = chord([square.s(number) for number in range(10)], total.s())()
    print(result.id, result.get(timeout=30))
    result = add_up.delay(list(range(10)))
    print(result.id, result.get(timeout=30))
