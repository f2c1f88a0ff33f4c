"""A gateway that serves a test's database, and clients of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.auth.keyring import create_key, create_organization, open_keyring
from gateway.auth.keys import TENANT_SCOPES
from gateway.quotas.buckets import Clock
from gateway.settings import GatewaySettings, load_gateway_settings
from gateway.stream.server import Server, listen, server_config
from gateway.transport.limits import ConnectionLimits
from tests.postgres import TestDatabase
from workerapp.db.address import DatabaseAddress
from workerapp.db.sealing import new_key

PATIENCE = 20.0
SECRET_KEY = new_key()
#: A suite that runs where somebody's own `.env` lies does not read it.
_NO_FILE = {"_env_file": None}


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """An organization and one of its keys."""

    organization_id: UUID
    key_id: UUID
    secret: str


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A gateway that answers."""

    url: str
    app: Starlette
    settings: GatewaySettings

    @asynccontextmanager
    async def client(self, tenant: Tenant | None = None) -> AsyncGenerator[httpx.AsyncClient]:
        """A client of this gateway."""
        headers = {} if tenant is None else {"Authorization": f"Bearer {tenant.secret}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE, trust_env=False) as client:
            yield client


def gateway_settings(database_url: str, **values: Any) -> GatewaySettings:
    # Client and server share a loop, which may be busy for longer than an idle connection is kept by default.
    connection = ConnectionLimits(keep_alive_seconds=60)
    defaults = {"secret_keys": (SECRET_KEY,), "key_cache_seconds": 0, "pool_size": 5, "connection": connection}
    return load_gateway_settings(database_url=database_url, **_NO_FILE, **(defaults | values))


def add_tenant(database: TestDatabase, scopes: Iterable[str] = TENANT_SCOPES, name: str = "") -> Tenant:
    """A new organization with a key, made as an operator makes them."""
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as connection:
        organization_id = create_organization(connection, name or f"org {uuid4()}")
        key = create_key(connection, organization_id, "test", scopes)
    return Tenant(organization_id=organization_id, key_id=key.id, secret=key.secret)


@asynccontextmanager
async def gateway(database_url: str, clock: Clock = time.monotonic, **values: Any) -> AsyncGenerator[Gateway]:
    """A gateway on a free port; `clock` is what its limits are kept by, and `values` are settings."""
    settings = gateway_settings(database_url, **values)
    app = create_app(settings, clock)
    listener = listen("127.0.0.1", 0)
    config = server_config(app, settings.stream, settings.connection, proxies=settings.proxies)
    server = Server(config, app.state.hub, settings.stream)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        await _until_it_answers(url, serving)
        yield Gateway(url=url, app=app, settings=settings)
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, PATIENCE)
        listener.close()


async def _until_it_answers(url: str, serving: asyncio.Task[None]) -> None:
    """The socket listens already, so a request waits in its backlog until the server takes it, or has ended."""
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        health = asyncio.create_task(client.get(f"{url}/healthz"))
        await asyncio.wait({health, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not health.done():
            health.cancel()
            await serving
        assert (await health).status_code == 200
