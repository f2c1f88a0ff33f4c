"""Fifty organizations on one gateway process: each of their clients is told of its own, whatever it shows to get in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import aiohttp
import pytest

from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Tenant, add_tenant
from tests.soak.clients import OrganizationSocket, OrganizationStream, SubjectStream
from tests.soak.truth import Difference, difference, read_truth
from tests.soak.watcher import Access, Habits, Watcher
from tests.soak.writer import Writer, end_tasks, submit_tasks
from tests.stack.services import Gateway

ORGANIZATIONS, TASKS, EVENTS, PATIENCE = 50, 2, 1_000, 60
HABITS = Habits(stays=1)

Tasks = Mapping[UUID, Sequence[str]]


@pytest.fixture
def tenants(module_database: TestDatabase) -> list[Tenant]:
    return [add_tenant(module_database) for _ in range(ORGANIZATIONS)]


@pytest.fixture
def tasks(module_database: TestDatabase, tenants: list[Tenant]) -> Tasks:
    with connect(module_database.admin_url) as admin:
        return {it.organization_id: submit_tasks(admin, it.organization_id, TASKS) for it in tenants}


@pytest.fixture
async def tickets(gateway: Gateway, tenants: list[Tenant]) -> dict[UUID, str]:
    async with aiohttp.ClientSession(gateway.url) as session:
        return {tenant.organization_id: await new_ticket(session, tenant) for tenant in tenants}


async def test_every_client_is_told_all_of_its_own_and_nothing_of_anybody_else(
    module_database: TestDatabase, gateway: Gateway, tenants: list[Tenant], tasks: Tasks, tickets: dict[UUID, str]
) -> None:
    """Writers change tasks of all organizations in one transaction, so the gateway reads them together."""
    watchers = [it for tenant in tenants for it in clients(gateway, tenant, tasks, tickets[tenant.organization_id])]
    watching = [asyncio.create_task(watcher.run()) for watcher in watchers]
    await write(module_database, tasks)
    with connect(module_database.admin_url) as admin:
        rows = [row for row in read_truth(admin) if row.organization_id in tasks]
    for watcher in watchers:
        watcher.expect(sum(map(watcher.wants, rows)))
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*watching)
    assert [problem for watcher in watchers for problem in watcher.problems] == []
    assert {difference(watcher.told, filter(watcher.wants, rows)) for watcher in watchers} == {Difference()}


async def test_neither_key_nor_ticket_opens_the_stream_of_another_organizations_task(
    gateway: Gateway, tenants: list[Tenant], tasks: Tasks, tickets: dict[UUID, str]
) -> None:
    async with aiohttp.ClientSession(gateway.url, headers={"Accept": "text/event-stream"}) as session:
        for own, other in zip(tenants, [*tenants[1:], tenants[0]], strict=True):
            for secret in (own.secret, tickets[own.organization_id]):
                path = f"/v1/tasks/{tasks[other.organization_id][0]}/events"
                async with session.get(path, headers={"Authorization": f"Bearer {secret}"}) as response:
                    assert (response.status, (await response.json())["code"]) == (404, "not_found")


def clients(gateway: Gateway, tenant: Tenant, tasks: Tasks, ticket: str) -> Iterator[Watcher]:
    chance = random.Random(tenant.organization_id.int)
    first, second = tasks[tenant.organization_id]

    def access(secret: str | None = None) -> Access:
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        query = {"token": [ticket]} if secret is None else {}
        return Access(urls=[gateway.url], organization_id=tenant.organization_id, headers=headers, query=query)

    yield OrganizationStream(access(tenant.secret), chance, HABITS)
    yield OrganizationStream(access(), chance, HABITS)
    yield OrganizationSocket(access(ticket), chance, HABITS)
    yield SubjectStream(access(tenant.secret), first, chance, HABITS)
    yield SubjectStream(access(ticket), second, chance, HABITS)


async def write(database: TestDatabase, tasks: Tasks) -> None:
    everything = [(organization_id, task) for organization_id, ids in tasks.items() for task in ids]
    writers = [Writer(database.admin_url, everything, random.Random(number)) for number in range(6)]
    over = asyncio.Event()
    writing = [asyncio.create_task(writer.run(over)) for writer in writers]
    async with asyncio.timeout(PATIENCE):
        while sum(writer.committed for writer in writers) < EVENTS:  # noqa: ASYNC110 - writers signal nobody
            await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*writing)
    with connect(database.admin_url) as admin:
        end_tasks(admin, list(tasks))


async def new_ticket(session: aiohttp.ClientSession, tenant: Tenant) -> str:
    headers = {"Authorization": f"Bearer {tenant.secret}"}
    async with session.post("/v1/stream-tickets", headers=headers) as response:
        assert response.status == 201, await response.text()
        ticket: str = (await response.json())["ticket"]
        return ticket
