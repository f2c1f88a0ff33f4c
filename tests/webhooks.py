"""Webhooks of tests: a receiver that answers as its paths say, endpoints, and deliveries that it can verify."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import standardwebhooks
import svix.webhooks
from aiohttp import web
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.records import act_for, add_webhook_endpoint, plan
from tests.stack.services import SECRET_KEY
from workerapp.contract.webhook_signing import WebhookSecrets, new_secret
from workerapp.db.sealing import Sealer, webhook_headers_place, webhook_secrets_place

SEALER = Sealer((SECRET_KEY,))
#: A receiver that asks for it is not asked again for so long.
RETRY_AFTER = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One request as it came; names of headers in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(self.body)
        return payload


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """A path answers with what is named like it in `answers`, or with 204; whatever follows in the path tells apart."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    #: How many requests to a path are under way, and were at most.
    under_way: dict[str, int] = field(default_factory=dict)
    most_under_way: dict[str, int] = field(default_factory=dict)

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        self.received.append(Received(path=path, headers=headers, body=body, at=time.monotonic()))
        self.under_way[path] = self.under_way.get(path, 0) + 1
        self.most_under_way[path] = max(self.most_under_way.get(path, 0), self.under_way[path])
        try:
            return await self.answers.get(path.split("/")[1], _ok)(request)
        finally:
            self.under_way[path] -= 1


def answer(status: int, body: str = "", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


_ok = answer(204)


async def _hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def _reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _slow_head(request: web.Request) -> web.StreamResponse:
    """A head byte by byte, that never ends."""
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not request.transport.is_closing():
        request.transport.write(b"a")
        await asyncio.sleep(0.02)
    return web.Response()


async def _slow_body(request: web.Request) -> web.StreamResponse:
    """A body byte by byte, that never ends."""
    return await _write_on(request, b"a", pause=0.02)


async def _endless(request: web.Request) -> web.StreamResponse:
    return await _write_on(request, b"a" * 65_536, pause=0)


async def _write_on(request: web.Request, piece: bytes, pause: float) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(piece)
        await asyncio.sleep(pause)


def new_receiver() -> Receiver:
    return Receiver(
        answers={
            "ok": answer(200, '{"ok": true}'),
            "fail": answer(500, "out of order"),
            "busy": answer(429, "later", Retry_After=str(RETRY_AFTER)),
            "gone": answer(410),
            "moved": answer(302, "", Location="/elsewhere"),
            "hang": _hang,
            "reset": _reset,
            "slow-head": _slow_head,
            "slow-body": _slow_body,
            "endless": _endless,
        }
    )


def verify(request: Received, secret: str) -> None:
    """As receivers do who use a public library: each raises an error of its own if the secret did not sign it."""
    for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
        library(secret).verify(request.body, dict(request.headers))


@asynccontextmanager
async def receiving(host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """Serve one in this event loop."""
    receiver = new_receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    receiver.url = f"http://{host}:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@contextmanager
def receiving_apart() -> Iterator[Receiver]:
    """Serve one in a thread."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    started: list[Receiver] = []
    is_up = threading.Event()

    async def serve() -> None:
        async with receiving() as receiver:
            started.append(receiver)
            is_up.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()
            is_up.set()

    thread = threading.Thread(target=run, name="receiver", daemon=True)
    thread.start()
    is_up.wait()
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """An endpoint, and what its receiver knows of it."""

    id: UUID
    organization_id: UUID
    secret: str


def subscribe(
    admin: psycopg.Connection,
    organization_id: UUID,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    secrets: WebhookSecrets | None = None,
    **columns: Any,
) -> Subscription:
    """An endpoint whose secrets are sealed as the API seals them."""
    endpoint_id = uuid4()
    secrets = secrets or WebhookSecrets(secret=new_secret())
    sealed: dict[str, Any] = {
        "sealed_secrets": SEALER.seal(secrets.model_dump_json(), webhook_secrets_place(organization_id, endpoint_id)),
        "sealed_headers": None
        if headers is None
        else SEALER.seal(json.dumps(headers), webhook_headers_place(organization_id, endpoint_id)),
    }
    add_webhook_endpoint(admin, organization_id, **({"id": endpoint_id, "url": url} | sealed | columns))
    return Subscription(id=endpoint_id, organization_id=organization_id, secret=secrets.secret)


def queue(admin: psycopg.Connection, subscription: Subscription, count: int = 1, **data: Any) -> list[str]:
    """Deliveries of an event of no run; their ids."""
    act_for(admin, subscription.organization_id)
    payload = {
        "type": "test_run.completed",
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "data": {"seq": 7, "links": {"self": "/v1/test-runs/1"}} | data,
    }
    rows = admin.execute(
        "INSERT INTO webhook_delivery (organization_id, webhook_endpoint_id, event_type, subject_id, payload)"
        " SELECT %s, %s, 'test_run.completed', '1', %s FROM generate_series(1, %s) RETURNING id",
        (subscription.organization_id, subscription.id, Jsonb(payload), count),
    )
    return [str(row[0]) for row in rows.fetchall()]


def end_run(admin: psycopg.Connection, organization_id: UUID, **columns: Any) -> UUID:
    """A run without tests, settled."""
    run = plan(admin, organization_id, 0, **columns)
    admin.execute("SELECT settle_run(%s)", (run.id,))
    return run.id


def deliveries(admin: psycopg.Connection) -> list[dict[str, Any]]:
    with admin.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM webhook_delivery ORDER BY id").fetchall()


def attempts(admin: psycopg.Connection) -> list[dict[str, Any]]:
    with admin.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM webhook_attempt ORDER BY webhook_delivery_id, number").fetchall()


def pass_time(admin: psycopg.Connection, by: timedelta) -> None:
    """Let everything that webhooks wait for come so much nearer."""
    admin.execute(
        "UPDATE webhook_delivery SET next_attempt_at = next_attempt_at - %(by)s, lease_until = lease_until - %(by)s",
        {"by": by},
    )
    admin.execute(
        "UPDATE webhook_endpoint SET held_until = held_until - %(by)s, failing_since = failing_since - %(by)s",
        {"by": by},
    )
