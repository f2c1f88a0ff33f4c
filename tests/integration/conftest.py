"""A served gateway, for the tests that ask it over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest
import pytest_asyncio

from tests.postgres import PostgresServer, TestDatabase, copied_database
from tests.rest import Gateway, Tenant, add_tenant, gateway


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


@pytest.fixture(scope="module")
def module_database(postgres: PostgresServer, template_database: str) -> Iterator[TestDatabase]:
    """One database for a module whose tests do not mind each other."""
    with copied_database(postgres, template_database) as copy:
        yield copy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_gateway(module_database: TestDatabase) -> AsyncGenerator[Gateway]:
    """One gateway for such a module; its tests run in the module's event loop."""
    async with gateway(module_database.url) as running:
        yield running
