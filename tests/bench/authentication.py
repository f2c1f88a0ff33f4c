"""`python -m tests.bench.authentication`: what it costs to find out who is asking, on top of a status read.

The same task is read with an API key, with a token of an identity provider, and by the same handler that is told who is
asking. They take turns, a request each, without a network between: only the differences matter. On a machine that is
busy with other things look at the processor's time, which is that of this process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message

from gateway.api import tasks
from gateway.api.routing import Answer
from gateway.app import create_app
from tests.bench.__main__ import _server
from tests.postgres import TestDatabase, copied_database, migrated_template
from tests.rest import Tenant, add_tenant, gateway_settings
from tests.stack.identity_provider import identity_provider, signing_key
from workerapp.contract.caller import Caller

BARE, KEY, TOKEN = "told who is asking", "API key", "token (JWT)"
#: The aim, for a token and for a key.
MOST_MS = 0.2


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one read, in milliseconds."""

    time: float
    processor: float


async def measure(database: TestDatabase, algorithm: str, requests: int) -> dict[str, list[Cost]]:
    """What each read cost, by how the caller was found."""
    tenant = add_tenant(database)
    with identity_provider(signing_key("bench", algorithm)) as provider:
        settings = gateway_settings(
            database.url,
            jwt_issuers=[provider.settings(algorithms=[algorithm])],
            key_cache_seconds=5,
            log_level="ERROR",
        )
        app = _with_bare_route(create_app(settings), tenant)
        token = provider.token(tenant.organization_id, exp=int(time.time()) + 3600)
        async with app.router.lifespan_context(app) as state:
            ask = _Asking(app, state)
            task_id = await ask.submit(tenant.secret)
            reads = {
                BARE: (f"/bare/{task_id}", None),
                KEY: (f"/v1/tasks/{task_id}", tenant.secret),
                TOKEN: (f"/v1/tasks/{task_id}", token),
            }
            found: dict[str, list[Cost]] = {name: [] for name in reads}
            for number in range(requests + requests // 10):
                for name, (path, credential) in reads.items():
                    cost = await ask.measured(path, credential)
                    if number >= requests // 10:  # the first ones warm up
                        found[name].append(cost)
    return found


def _with_bare_route(app: Starlette, tenant: Tenant) -> Starlette:
    caller = Caller(organization_id=tenant.organization_id)

    async def read(request: Request) -> Answer:
        return await tasks.get_task(request, caller)

    app.router.routes.insert(0, Route("/bare/{task_id}", read))
    return app


class _Asking:
    """Calls the application as a server does."""

    def __init__(self, app: Starlette, state: Mapping[str, Any]) -> None:
        self._app = app
        self._state = state

    async def submit(self, key: str) -> str:
        answer = await self._ask("POST", "/v1/tasks", key, b'{"name": "echo"}')
        assert answer[0]["status"] == 202, answer
        headers = {name.decode().lower(): value.decode() for name, value in answer[0]["headers"]}
        return headers["location"].rpartition("/")[2]

    async def measured(self, path: str, credential: str | None) -> Cost:
        began, worked = time.perf_counter(), time.process_time()
        answer = await self._ask("GET", path, credential)
        cost = Cost((time.perf_counter() - began) * 1000, (time.process_time() - worked) * 1000)
        assert answer[0]["status"] == 200, answer
        return cost

    async def _ask(self, method: str, path: str, credential: str | None, body: bytes = b"") -> list[Message]:
        headers = [(b"content-type", b"application/json")]
        if credential is not None:
            headers.append((b"authorization", f"Bearer {credential}".encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": headers,
            "state": dict(self._state),
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return sent


def show(algorithm: str, found: Mapping[str, list[Cost]]) -> None:
    """Print a table."""
    table = Table(title=f"status reads, medians in ms ({algorithm}; aim: < {MOST_MS} more)")
    for heading in ("caller found by", "time", "more than told", "processor", "more than told"):
        table.add_column(heading, justify="left" if heading == "caller found by" else "right")
    bare_time, bare_processor = _medians(found[BARE])
    for name, costs in found.items():
        spent, worked = _medians(costs)
        cells = (spent, spent - bare_time, worked, worked - bare_processor)
        table.add_row(name, *(f"{cell:.3f}" for cell in cells))
    Console(width=120).print(table)


def _medians(costs: list[Cost]) -> tuple[float, float]:
    return statistics.median(cost.time for cost in costs), statistics.median(cost.processor for cost in costs)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.authentication", description=__doc__)
    parser.add_argument("--algorithm", default="RS256", help="of the token's signature (default: RS256)")
    parser.add_argument("--requests", type=int, default=3000, help="of each kind (default: 3,000)")
    options = parser.parse_args()
    with _server() as server, migrated_template(server) as template, copied_database(server, template) as database:
        show(options.algorithm, asyncio.run(measure(database, options.algorithm, options.requests)))


if __name__ == "__main__":
    main()
