"""`/v1/test-sets`: ordered tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, JsonValue
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Links, Out, Time, answer
from gateway.api.body import read_body
from gateway.api.definitions import Definition
from gateway.api.idempotency import Made, make_once
from gateway.api.paging import PageQuery, Position, page_limit, page_of, path_uuid, read_cursor, read_query
from gateway.errors import EmptyTestSet, Fault, TooManyTests
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.specs import Name, TestSpec
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction


class TestSetCreation(In):
    """A new test set."""

    __test__ = False

    name: Name
    metadata: Annotated[dict[str, JsonValue], Field(default_factory=dict)]
    tests: list[TestSpec]


class TestSet(Out):
    """A test set as it is answered."""

    __test__ = False

    id: UUID
    name: str
    metadata: dict[str, Any]
    test_count: int
    created_at: Time
    updated_at: Time
    archived_at: Time | None
    links: Links


class Test(Out):
    """A test as it is answered."""

    __test__ = False

    id: UUID
    position: int
    input: Any
    expected: Any
    assertions: list[Any]
    metadata: dict[str, Any]


def _test_set(row: Any, test_count: int | None = None) -> TestSet:
    path = f"/v1/test-sets/{row.id}"
    return TestSet(
        id=row.id,
        name=row.name,
        metadata=row.metadata,
        test_count=row.test_count if test_count is None else test_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        links={"self": path, "tests": f"{path}/tests"},
    )


def _test(row: Any) -> Test:
    return Test(
        id=row.id,
        position=row.position,
        input=row.input,
        expected=row.expected,
        assertions=row.assertions,
        metadata=row.metadata,
    )


_in_set = (tables.test.c.test_set_id == tables.test_set.c.id) & tables.test.c.archived_at.is_(None)

DEFINITION = Definition(
    table=tables.test_set,
    what="test set",
    path_name="test_set_id",
    item=_test_set,
    extra=(select(func.count()).where(_in_set).scalar_subquery().label("test_count"),),
)


async def create_test_set(request: Request, caller: Caller) -> Response:
    asked = await read_body(request, TestSetCreation)
    _check_count(len(asked.tests), services_of(request).settings.max_tests_per_request)

    async def work(connection: AsyncConnection) -> Made:
        row = await DEFINITION.insert(connection, caller, {"name": asked.name, "metadata": asked.metadata})
        await connection.execute(insert(tables.test), _rows(asked.tests, caller, row.id))
        return Made(status=201, location=f"/v1/test-sets/{row.id}", body=_test_set(row, len(asked.tests)))

    return await make_once(request, caller, asked, work)


async def list_tests(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = path_uuid(request, "test_set_id", DEFINITION.what)
    query = read_query(request, PageQuery)
    limit, after = page_limit(query, services.settings), read_cursor(query, Position)
    columns = tables.test.c
    statement = select(tables.test).where(
        columns.organization_id == caller.organization_id, columns.test_set_id == key, columns.archived_at.is_(None)
    )
    if after is not None:
        statement = statement.where(columns.position > after)
    async with tenant_transaction(services.engine, caller) as connection:
        await DEFINITION.find(connection, caller, key)
        rows = (await connection.execute(statement.order_by(columns.position).limit(limit + 1))).all()
    return answer(page_of(rows, limit, _test, lambda row: row.position))


def _check_count(count: int, most: int) -> None:
    if count == 0:
        detail = "A test set needs at least one test."
        raise EmptyTestSet(f"/tests: {detail}", faults=[Fault(pointer="/tests", detail=detail)])
    if count > most:
        detail = f"There are {count} tests; at most {most} are accepted at once."
        raise TooManyTests(f"/tests: {detail}", faults=[Fault(pointer="/tests", detail=detail)])


def _rows(tests: Sequence[TestSpec], caller: Caller, test_set_id: UUID) -> list[dict[str, Any]]:
    owner = {"organization_id": caller.organization_id, "test_set_id": test_set_id}
    return [owner | {"position": position} | test.model_dump(mode="json") for position, test in enumerate(tests)]
