"""`python -m tests.bench.requests`: status reads and executions a second of one process, next to other ways.

The limit is a bare handler that executes the same statements; beside it stand the origin's way, FastAPI with
`task.delay` and `AsyncResult` on the stock broker and backend, and Flower's API. Each is one process, on one server
of Postgres, and they take turns on this machine. Ratios travel to other machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench.__main__ import _plain_database, _server
from tests.bench.requests.load import Ask, Window, load
from tests.postgres import PostgresServer, TestDatabase, copied_database, migrated_template
from tests.records import add_configuration, connect
from tests.rest import Tenant, add_tenant
from tests.stack.process import Process
from tests.stack.services import Gateway, free_port, shared_environment
from tests.waiting import until

OURS, BARE, ORIGIN, FLOWER = "gateway", "bare handler", "origin's way", "Flower's API"
READ, EXECUTE = "status read", "execution"
#: Of what the bare handler does.
AIM = 0.5
#: Limits that nobody reaches, but which are looked at for every request.
PLAN = {"requests_per_second": 1e6, "burst": 10**6, "concurrent_runs": 10**6, "queued_tests": 10**8}
TESTS = [{"input": f"question {number}"} for number in range(10)]


@dataclass(kw_only=True)
class Contestant:
    """A server and what it is asked."""

    name: str
    port: int
    asks: dict[str, Ask]
    windows: dict[str, list[Window]] = field(default_factory=lambda: {READ: [], EXECUTE: []})


class Server(Process):
    """A server of this folder, or Flower."""

    def __init__(self, name: str, arguments: Sequence[str], environment: dict[str, str], port: int, path: str) -> None:
        super().__init__(name, arguments, environment)
        self._url = f"http://127.0.0.1:{port}{path}"

    def start(self) -> None:
        super().start()
        until(self._answers)

    def _answers(self) -> bool:
        self.assert_running()
        try:
            return httpx.get(self._url).status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except httpx.TransportError:
            return False


@contextmanager
def contestants(server: PostgresServer, database: TestDatabase, *, alone: bool) -> Iterator[list[Contestant]]:
    """All of them, up."""
    tenant = add_tenant(database)
    with connect(database.admin_url) as admin:
        configuration = add_configuration(admin, tenant.organization_id, tests=TESTS)
    with ExitStack() as stack:
        found = [
            stack.enter_context(_ours(database, tenant, str(configuration))),
            stack.enter_context(_bare(database, tenant, str(configuration))),
        ]
        if not alone:
            found.append(stack.enter_context(_origin(stack.enter_context(_plain_database(server)))))
            found.append(stack.enter_context(_flower(database)))
        yield found


@contextmanager
def _ours(database: TestDatabase, tenant: Tenant, configuration: str) -> Iterator[Contestant]:
    environment = {"GATEWAY_PLANS": json.dumps({"default": PLAN})}
    with Gateway(database, environment=environment) as gateway:
        authorization = {"Authorization": f"Bearer {tenant.secret}"}
        answer = httpx.post(f"{gateway.url}/v1/tasks", json={"name": "echo"}, headers=authorization)
        headers = tuple(authorization.items())
        execute = f"/v1/test-configurations/{configuration}/execute"
        yield Contestant(
            name=OURS,
            port=gateway.port,
            asks={
                READ: Ask(method="GET", path=answer.headers["Location"], status=200, headers=headers),
                EXECUTE: Ask(method="POST", path=execute, status=202, headers=headers, body=b"{}"),
            },
        )


@contextmanager
def _bare(database: TestDatabase, tenant: Tenant, configuration: str) -> Iterator[Contestant]:
    port = free_port()
    environment = {"DATABASE_URL": database.url, "ORGANIZATION": str(tenant.organization_id)}
    with connect(database.admin_url, organization_id=tenant.organization_id) as admin:
        row = admin.execute("SELECT id FROM task LIMIT 1").fetchone()
    assert row is not None
    path, execute = f"/v1/tasks/{row[0]}", f"/v1/test-configurations/{configuration}/execute"
    arguments = ["-m", "tests.bench.requests.bare", str(port)]
    with Server(BARE, arguments, environment, port, path):
        asks = {
            READ: Ask(method="GET", path=path, status=200),
            EXECUTE: Ask(method="POST", path=execute, status=202, body=b"{}"),
        }
        yield Contestant(name=BARE, port=port, asks=asks)


@contextmanager
def _origin(url: str) -> Iterator[Contestant]:
    port = free_port()
    arguments = ["-m", "tests.bench.requests.origin_api", str(port)]
    with Server(ORIGIN, arguments, {"ORIGIN_URL": url}, port, "/docs"):
        task_id = httpx.post(f"http://127.0.0.1:{port}/execute").json()["task_id"]
        asks = {
            READ: Ask(method="GET", path=f"/tasks/{task_id}", status=200),
            EXECUTE: Ask(method="POST", path="/execute", status=202),
        }
        yield Contestant(name=ORIGIN, port=port, asks=asks)


@contextmanager
def _flower(database: TestDatabase) -> Iterator[Contestant]:
    port = free_port()
    environment = shared_environment(database) | {"FLOWER_UNAUTHENTICATED_API": "true"}
    arguments = ["-m", "celery", "-A", "workerapp", "flower", f"--port={port}", "--logging=warning"]
    with Server(FLOWER, arguments, environment, port, "/healthcheck"):
        sent = httpx.post(f"http://127.0.0.1:{port}/api/task/send-task/echo", json={"args": []}).json()
        asks = {
            READ: Ask(method="GET", path=f"/api/task/result/{sent['task-id']}", status=200),
            EXECUTE: Ask(method="POST", path="/api/task/send-task/echo", status=200, body=b'{"args": []}'),
        }
        yield Contestant(name=FLOWER, port=port, asks=asks)


def measure(found: Sequence[Contestant], database: TestDatabase, options: argparse.Namespace) -> None:
    """Round after round, each in its turn; what was submitted is taken away, so that nobody counts another's runs."""
    for number in range(options.rounds + 1):
        for what in (READ, EXECUTE):
            for one in found:
                seconds = options.seconds if number else min(options.seconds, 1.0)
                window = uvloop.run(load(one.port, one.asks[what], connections=options.connections, seconds=seconds))
                if number:  # the first round warms up
                    one.windows[what].append(window)
                if what == EXECUTE:
                    _tidy(database)


def _tidy(database: TestDatabase) -> None:
    with connect(database.admin_url) as admin, psycopg.ClientCursor(admin) as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "DELETE FROM broker_message; DELETE FROM test_run; DELETE FROM audit_event; DELETE FROM task_event"
        )
        cursor.execute("DELETE FROM task WHERE test_run_id IS NOT NULL")
        cursor.execute("VACUUM test_run"), cursor.execute("VACUUM task"), cursor.execute("VACUUM broker_message")


def show(found: Sequence[Contestant], options: argparse.Namespace) -> None:
    """Print a table."""
    table = Table(title=f"one process each, {options.connections} connections; medians of {options.rounds} rounds")
    for heading in ("what", "server", "requests/s", "p50 ms", "p99 ms", f"of the bare handler (aim {AIM})"):
        table.add_column(heading, justify="left" if heading in ("what", "server") else "right")
    for what in (READ, EXECUTE):
        (bare,) = (one for one in found if one.name == BARE)
        for one in found:
            table.add_row(what, one.name, *_cells(one.windows[what], bare.windows[what]))
    Console(width=120).print(table)


def _cells(windows: Sequence[Window], bare: Sequence[Window]) -> list[str]:
    ratios = [own.per_second / limit.per_second for own, limit in zip(windows, bare, strict=True)]
    return [
        f"{statistics.median(window.per_second for window in windows):,.0f}",
        f"{statistics.median(statistics.median(window.milliseconds) for window in windows):.1f}",
        f"{statistics.median(window.p99 for window in windows):.1f}",
        f"{statistics.median(ratios):.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.requests", description=__doc__)
    parser.add_argument("--connections", type=int, default=16, help="that are kept busy (default: 16)")
    parser.add_argument("--seconds", type=float, default=4, help="that each is asked in a round (default: 4)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--alone", action="store_true", help="next to the bare handler only")
    options = parser.parse_args()
    with (
        _server() as server,
        migrated_template(server) as template,
        copied_database(server, template) as database,
        contestants(server, database, alone=options.alone) as found,
    ):
        measure(found, database, options)
        show(found, options)


if __name__ == "__main__":
    main()
