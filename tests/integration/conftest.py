"""A served gateway, for the tests that ask it over HTTP; and the parts of streams, for the tests that follow them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stream.hub import Hub
from gateway.stream.tail import Tail
from tests.integration.streams import SETTINGS, Writer, gateway_engine, writer
from tests.integration.token_holders import ED, ES, RS
from tests.postgres import TestDatabase
from tests.rest import Gateway, Tenant, add_tenant, gateway
from tests.stack.identity_provider import IdentityProvider, identity_provider
from workerapp.db.address import DatabaseAddress


@pytest.fixture
async def served(database: TestDatabase) -> AsyncGenerator[Gateway]:
    async with gateway(database.url) as running:
        yield running


@pytest.fixture
def tenant(database: TestDatabase) -> Tenant:
    return add_tenant(database)


@pytest.fixture
async def api(served: Gateway, tenant: Tenant) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of `tenant`, whose exchanges are held against openapi.yaml."""
    async with served.client(tenant) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_gateway(module_database: TestDatabase) -> AsyncGenerator[Gateway]:
    """One gateway for such a module; its tests run in the module's event loop."""
    async with gateway(module_database.url) as running:
        yield running


# ---------------------------------------------------------------- identity providers
@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider(ES, RS, ED) as running:
        yield running


@pytest.fixture
async def trusting(database: TestDatabase, provider: IdentityProvider) -> AsyncGenerator[Gateway]:
    """A gateway that accepts tokens of the provider."""
    async with gateway(database.url, jwt_issuers=[provider.settings()]) as running:
        yield running


# ---------------------------------------------------------------- streams
@pytest.fixture
async def ours(database: TestDatabase) -> AsyncGenerator[Writer]:
    async with writer(database) as opened:
        yield opened


@pytest.fixture
async def engine(database: TestDatabase) -> AsyncGenerator[AsyncEngine]:
    async with gateway_engine(database) as opened:
        yield opened


@pytest.fixture
async def hub(database: TestDatabase) -> AsyncGenerator[Hub]:
    hub = Hub(SETTINGS)
    tail = Tail(DatabaseAddress.parse(database.url), hub, SETTINGS)
    await tail.start()
    yield hub
    await tail.stop()
