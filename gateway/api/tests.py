"""`/v1/test-sets/{test_set_id}/tests`: the tests of a set, one by one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import any_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import test_sets
from gateway.api.answers import In, Out, Time, answer
from gateway.api.body import read_body
from gateway.api.conditions import answer_tagged
from gateway.api.idempotency import Made, make_once
from gateway.api.metric_references import References
from gateway.api.paging import PageQuery, Position, page_limit, page_of, path_uuid, read_cursor, read_query
from gateway.api.stored_tests import WHAT, StoredTests, check_count, references_of
from gateway.api.test_sets import DEFINITION, TestSet
from gateway.audit import note
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.specs import TestSpec
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction


class Addition(In):
    """Tests that come behind those there are."""

    tests: list[TestSpec]


class Added(Out):
    """The set as it is now, and the ids of the new tests in their order."""

    test_set: TestSet
    test_ids: list[UUID]


class Test(Out):
    """A test as it is answered."""

    __test__ = False

    id: UUID
    position: int
    input: Any
    turns: list[Any] | None
    expected: Any
    tags: list[str]
    assertions: list[Any]
    metadata: dict[str, Any]
    archived_at: Time | None


class TestQuery(PageQuery):
    """Which tests."""

    __test__ = False

    tag: str | None = None


async def list_tests(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = _set_id(request)
    query = read_query(request, TestQuery)
    limit, after = page_limit(query, services.settings), read_cursor(query, Position)
    columns = tables.test.c
    statement = select(tables.test).where(
        columns.organization_id == caller.organization_id, columns.test_set_id == key, columns.archived_at.is_(None)
    )
    if query.tag is not None:
        statement = statement.where(any_(columns.tags) == query.tag)
    if after is not None:
        statement = statement.where(columns.position > after)
    async with tenant_transaction(services.engine, caller) as connection:
        await DEFINITION.check(connection, caller, key)
        rows = (await connection.execute(statement.order_by(columns.position).limit(limit + 1))).all()
    return answer(page_of(rows, limit, _test, lambda row: row.position))


async def get_test(request: Request, caller: Caller) -> Response:
    key, test_id = _set_id(request), _test_id(request)
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        await DEFINITION.check(connection, caller, key)
        stored = StoredTests(connection=connection, caller=caller, test_set_id=key)
        return answer_tagged(request, _test(await stored.find(test_id)))


async def add_tests(request: Request, caller: Caller) -> Response:
    key, services = _set_id(request), services_of(request)
    asked = await read_body(request, Addition)
    check_count(len(asked.tests), services.settings.max_tests_per_request)
    references = references_of(asked.tests, services.settings)

    async def work(connection: AsyncConnection) -> Made:
        stored = await test_sets.lock(connection, caller, key)
        await references.check(connection, caller)
        test_ids = await stored.append(asked.tests, services.most_tests_per_set(caller.organization_id))
        await stored.count_change()
        body = Added(test_set=await test_sets.read(connection, caller, key), test_ids=test_ids)
        location, details = f"/v1/test-sets/{key}/tests", {"tests": len(test_ids)}
        return Made(status=201, location=location, body=body, details=details)

    return await make_once(request, caller, asked, work)


async def replace_test(request: Request, caller: Caller) -> Response:
    """Archives the test; the new one has an id of its own."""
    key, test_id = _set_id(request), _test_id(request)
    asked = await read_body(request, TestSpec)
    references = References(services_of(request).settings.outbound)
    references.add_test(asked)

    async def work(connection: AsyncConnection) -> Made:
        stored = await test_sets.lock(connection, caller, key)
        await references.check(connection, caller)
        row = await stored.replace(test_id, asked)
        await stored.count_change()
        return Made(status=201, location=f"/v1/test-sets/{key}/tests/{row.id}", body=_test(row))

    return await make_once(request, caller, asked, work)


async def archive_test(request: Request, caller: Caller) -> Response:
    """Archives the test; nothing happens if it is archived already."""
    key, test_id = _set_id(request), _test_id(request)
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        stored = await test_sets.lock(connection, caller, key)
        if (await stored.find(test_id)).archived_at is None:
            await stored.archive(test_id)
            await stored.count_change()
        await note(connection, request, caller)
    return Response(status_code=204)


def _set_id(request: Request) -> UUID:
    return path_uuid(request, DEFINITION.path_name, DEFINITION.what)


def _test_id(request: Request) -> UUID:
    return path_uuid(request, "test_id", WHAT)


def _test(row: Any) -> Test:
    return Test(**{name: getattr(row, name) for name in Test.model_fields})
