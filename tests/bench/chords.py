"""`python -m tests.bench.chords`: trivial tasks and chords, on ours and on stock Celery with Redis and with RabbitMQ.

They take turns on this machine, each with four prefork children and the same tasks. Ours and the stock
database backend have a Postgres that writes to disk; Redis writes nothing. Ratios travel, absolute figures do not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from celery import Celery, chord
from rich.console import Console
from rich.table import Table

from tests.bench.__main__ import LONG_WAITS, _plain_database, _server
from tests.bench.stock import make_app as make_stock_app
from tests.postgres import PostgresServer, copied_database, migrated_template
from tests.records import add_organization, connect
from tests.stack.process import Process
from tests.stack.services import Worker
from workerapp.app import make_app
from workerapp.settings import WorkerSettings

TASKS = "tests.bench.bench_tasks"
TRIVIAL = "trivial tasks/s"
PATIENCE = 180.0


@dataclass(frozen=True, kw_only=True)
class Side:
    """One deployment: how to call its tasks, and its worker, which does not run yet."""

    name: str
    app: Celery
    worker: Process
    headers: Mapping[str, str] = field(default_factory=dict)

    def task(self, name: str) -> Any:
        return self.app.tasks[f"tests.bench.{name}"]


def measure(sides: list[Side], options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Every figure by side and name. The sides take turns, so that what else the machine does falls on all of them."""
    figures: dict[str, dict[str, list[float]]] = {side.name: defaultdict(list) for side in sides}
    for _ in range(options.repeat):
        for side in sides:
            figures[side.name][TRIVIAL].append(trivial_tasks_per_second(side, options.tasks))
    with ExitStack() as stack:
        for side in sides:
            stack.enter_context(side.worker)
            run_chord(side, 10)  # warms everything up
        for size in options.sizes:
            for _ in range(max(2, min(options.samples, 4000 // size))):
                for side in sides:
                    figures[side.name][f"chord of {size}: last part to body, ms"].append(run_chord(side, size))
    return figures


def trivial_tasks_per_second(side: Side, count: int) -> float:
    """From the first end to the last of tasks that all wait when the worker starts."""
    waiting = [side.task("now").apply_async(headers=dict(side.headers)) for _ in range(count)]
    with side.worker:
        ends = sorted(result.get(timeout=PATIENCE, interval=0.05) for result in waiting)
    return len(ends) / (ends[-1] - ends[0])


def run_chord(side: Side, size: int) -> float:
    """Milliseconds from the end of the last part until the body runs."""
    header = [side.task("now").s() for _ in range(size)]
    canvas = chord(header, side.task("collect").s(), app=side.app)
    last, ran = canvas.apply_async(headers=dict(side.headers)).get(timeout=PATIENCE, interval=0.02)
    return float(ran - last) * 1000


# ---------------------------------------------------------------- the sides
@contextmanager
def ours(server: PostgresServer) -> Iterator[Side]:
    with migrated_template(server) as template, copied_database(server, template) as database:
        worker = Worker(
            database, concurrency=4, loglevel="WARNING", ready=False, include=(TASKS,), environment=LONG_WAITS
        )
        app = make_app(WorkerSettings(database_url=database.url))
        __import__(TASKS)
        with connect(database.admin_url) as admin:
            organization_id = add_organization(admin)
        yield Side(name="ours", app=app, worker=worker, headers={"organization_id": str(organization_id)})
        app.close()


@contextmanager
def stock(name: str, broker: str, backend: str) -> Iterator[Side]:
    queue = f"bench-{uuid4().hex[:8]}"
    app = make_stock_app(broker, backend, queue)
    environment = {"STOCK_BROKER": broker, "STOCK_BACKEND": backend, "STOCK_QUEUE": queue}
    arguments = [
        "-m",
        "celery",
        "-A",
        "tests.bench.stock",
        "worker",
        "-c",
        "4",
        "-l",
        "WARNING",
        "-n",
        f"{queue}@bench",
    ]
    yield Side(name=name, app=app, worker=Process(name, arguments, environment))
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(queue)
    app.close()


def main() -> None:
    options = _options()
    with _server() as server, ExitStack() as stack:
        rabbitmq_results = stack.enter_context(_plain_database(server)).replace(
            "postgresql+psycopg", "db+postgresql+psycopg"
        )
        known = {
            "ours": lambda: ours(server),
            "redis": lambda: stock("Redis + Redis", options.redis, options.redis),
            "rabbitmq": lambda: stock("RabbitMQ + stock db backend", options.rabbitmq, rabbitmq_results),
        }
        figures = measure([stack.enter_context(known[name]()) for name in options.sides], options)
    for name, found in figures.items():
        print(name, {key: [round(value, 1) for value in values] for key, values in found.items()}, file=sys.stderr)
    _show(figures)


def _show(figures: dict[str, dict[str, list[float]]]) -> None:
    table = Table(title="medians")
    table.add_column("what")
    for name in figures:
        table.add_column(name, justify="right")
    for what in next(iter(figures.values())):
        table.add_row(what, *(f"{statistics.median(found[what]):,.1f}" for found in figures.values()))
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.chords", description=__doc__)
    parser.add_argument(
        "--sides", nargs="+", default=["ours", "redis", "rabbitmq"], choices=["ours", "redis", "rabbitmq"]
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[10, 100, 1000], help="parts of the chords")
    parser.add_argument("--samples", type=int, default=20, help="chords of each size, fewer of the large ones")
    parser.add_argument("--tasks", type=int, default=2000, help="how many trivial tasks are queued")
    parser.add_argument("--repeat", type=int, default=3, help="how often that is measured")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/8")
    parser.add_argument("--rabbitmq", default="amqp://guest:guest@127.0.0.1:5672//")
    return parser.parse_args()


if __name__ == "__main__":
    main()
