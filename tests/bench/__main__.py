"""`python -m tests.bench`: what the gateway costs and how fast it is, next to the origin's configuration.

Both run on the same Postgres, one after the other. Ratios travel to other machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.embedded.postgres import EmbeddedPostgres
from tests.bench import origin_measures as origin
from tests.bench import ours
from tests.bench.figures import Figure, show
from tests.postgres import PostgresServer, ServerKind, TestDatabase, copied_database, migrated_template
from tests.stack.client import new_client
from tests.stack.process import Process
from tests.stack.services import Gateway, Worker, free_port

LONG_WAITS = {
    "GATEWAY_VISIBILITY_TIMEOUT": "60",
    "GATEWAY_POLLING_INTERVAL": "1",
    "GATEWAY_LANE_LEASE_SECONDS": "30",
    "GATEWAY_LANE_GRACE_SECONDS": "10",
    "GATEWAY_LANE_IDLE_SECONDS": "1",
    "GATEWAY_SWEEP_PAUSE_SECONDS": "5",
}


def main() -> None:
    options = _options()
    with _server() as server, migrated_template(server) as template, copied_database(server, template) as database:
        measured = measure_ours(database, options)
    with _server() as server, _plain_database(server) as url:
        compared = {} if options.without_origin else measure_origin(url, options)
    figures = [
        Figure(name=name, unit=unit, aim=aim, ours=measured[name], origin=compared.get(name, ()))
        for name, unit, aim in (
            ("submit until task.started is seen", "ms", "p50 < 25 ms"),
            ("last part done until settled is seen", "ms", "p50 < 50 ms"),
            ("tests/s, concurrency 100", "/s", ">= 1,500 /s"),
            ("trivial tasks/s, 4 children", "/s", ">= 2 x origin"),
        )
        if name in measured
    ]
    if options.json:
        print(json.dumps([figure.as_json() for figure in figures], indent=2))
    else:
        show(figures)


def measure_ours(database: TestDatabase, options: argparse.Namespace) -> dict[str, list[float]]:
    """Everything of ours, by name."""
    found: dict[str, list[float]] = {"trivial tasks/s, 4 children": []}
    quiet = {"GATEWAY_LOG_LEVEL": "WARNING"}
    endpoint_port = free_port()
    worker = Worker(
        database, concurrency=4, loglevel="INFO", include=("tests.bench.bench_tasks",), environment=LONG_WAITS
    )
    with (
        Gateway(database, environment=quiet | {"GATEWAY_MAX_BODY_BYTES": "100000000"}, ready=True) as gateway,
        FastEndpoint(endpoint_port),
        new_client(database, gateway.url, "bench") as client,
    ):
        deployment = ours.Deployment(
            client=client, admin_url=database.admin_url, endpoint_url=f"http://127.0.0.1:{endpoint_port}/"
        )
        for _ in range(options.repeat):
            ours.fill_queue(deployment, options.tasks)
            with worker:
                found["trivial tasks/s, 4 children"].append(ours.trivial_tasks_per_second(deployment, options.tasks))
        with worker:
            found["submit until task.started is seen"] = asyncio.run(
                ours.submit_to_started(deployment, options.samples)
            )
            found["last part done until settled is seen"] = asyncio.run(
                ours.last_part_to_settled(deployment, options.samples)
            )
            found["tests/s, concurrency 100"] = ours.run_throughput(deployment, options.repeat)
    return found


def measure_origin(url: str, options: argparse.Namespace) -> dict[str, list[float]]:
    """The origin's configuration, where it does the same."""
    os.environ["ORIGIN_URL"] = url
    app = importlib.import_module("tests.bench.origin").app
    results = origin.fill_queue(app, options.tasks // 4)
    with origin.OriginWorker(url):
        return {
            "trivial tasks/s, 4 children": [origin.trivial_tasks_per_second(results)],
            "submit until task.started is seen": origin.submit_to_started(app, max(options.samples // 10, 5)),
            "last part done until settled is seen": origin.last_part_to_body(app, max(options.samples // 20, 3)),
        }


class FastEndpoint(Process):
    """The application under test."""

    def __init__(self, port: int) -> None:
        super().__init__("fast endpoint", ["-m", "tests.bench.fast_endpoint", str(port)], {})

    def start(self) -> None:
        super().start()
        self.wait_for("fast endpoint ready")


@contextmanager
def _server() -> Iterator[PostgresServer]:
    """A server that writes to disk as in production."""
    folder = Path(tempfile.mkdtemp(prefix="gwtest-"))
    folder.chmod(0o755)
    try:
        with EmbeddedPostgres(folder / "data") as embedded:
            yield PostgresServer(ServerKind.EMBEDDED, embedded.address)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _plain_database(server: PostgresServer) -> Iterator[str]:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE origin")
    yield server.as_admin("origin").replace("postgresql://", "postgresql+psycopg://")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of a table")
    parser.add_argument("--samples", type=int, default=100, help="how often latencies are measured (default: 100)")
    parser.add_argument("--repeat", type=int, default=3, help="how often throughputs are measured (default: 3)")
    parser.add_argument("--tasks", type=int, default=2000, help="how many trivial tasks are queued (default: 2000)")
    parser.add_argument("--without-origin", action="store_true", help="leave the comparison out")
    return parser.parse_args()


if __name__ == "__main__":
    main()
