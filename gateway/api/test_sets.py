"""`/v1/test-sets`: ordered tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, JsonValue
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Links, Out, Time
from gateway.api.body import read_body
from gateway.api.conditions import answer_tagged, check_match
from gateway.api.definitions import Definition
from gateway.api.faults import MOST_FAULTS
from gateway.api.idempotency import Made, make_once
from gateway.api.paging import path_uuid
from gateway.api.stored_tests import StoredTests, check_count, references_of
from gateway.audit import Particulars, note
from gateway.errors import Fault, ValidationFailed
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.specs import Name, TestSpec
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction


class TestSetCreation(In):
    """A new test set; one without `tests` gets them later."""

    __test__ = False

    name: Name
    metadata: Annotated[dict[str, JsonValue], Field(default_factory=dict)]
    tests: list[TestSpec] | None = None


class TestSetChange(In):
    """What is to be changed; what is not given stays as it is."""

    __test__ = False

    name: Name | None = None
    metadata: dict[str, JsonValue] | None = None


class Reordering(In):
    """Every test of the set, in their new order."""

    test_ids: list[UUID]


class TestSet(Out):
    """A test set as it is answered."""

    __test__ = False

    id: UUID
    name: str
    metadata: dict[str, Any]
    version: int
    test_count: int
    created_at: Time
    updated_at: Time
    archived_at: Time | None
    links: Links


def _test_set(row: Any) -> TestSet:
    path = f"/v1/test-sets/{row.id}"
    return TestSet(
        id=row.id,
        name=row.name,
        metadata=row.metadata,
        version=row.version,
        test_count=row.test_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        links={"self": path, "tests": f"{path}/tests"},
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
    asked, services = await read_body(request, TestSetCreation), services_of(request)
    if asked.tests is not None:
        check_count(len(asked.tests), services.settings.max_tests_per_request)
    references = references_of(asked.tests or (), services.settings)

    async def work(connection: AsyncConnection) -> Made:
        await references.check(connection, caller)
        row = await DEFINITION.insert(connection, caller, {"name": asked.name, "metadata": asked.metadata})
        if asked.tests:
            stored = StoredTests(connection=connection, caller=caller, test_set_id=row.id)
            await stored.append(asked.tests, services.most_tests_per_set(caller.organization_id))
        return Made(status=201, location=f"/v1/test-sets/{row.id}", body=await read(connection, caller, row.id))

    return await make_once(request, caller, asked, work)


async def change_test_set(request: Request, caller: Caller) -> Response:
    key = path_uuid(request, DEFINITION.path_name, DEFINITION.what)
    asked = await read_body(request, TestSetChange)
    values = asked.model_dump(exclude_none=True)
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        stored = await lock(connection, caller, key)
        check_match(request, await read(connection, caller, key))
        if values:
            await stored.count_change(**values)
        await note(connection, request, caller, Particulars(details={"fields": sorted(asked.model_fields_set)}))
        return answer_tagged(request, await read(connection, caller, key))


async def reorder_test_set(request: Request, caller: Caller) -> Response:
    key = path_uuid(request, DEFINITION.path_name, DEFINITION.what)
    asked = await read_body(request, Reordering)
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        stored = await lock(connection, caller, key)
        check_match(request, await read(connection, caller, key))
        _check_order(asked.test_ids, await stored.ids())
        await stored.reorder(asked.test_ids)
        await stored.count_change()
        await note(connection, request, caller)
        return answer_tagged(request, await read(connection, caller, key))


async def lock(connection: AsyncConnection, caller: Caller, key: UUID) -> StoredTests:
    """A set that is to be changed, and by nobody else before the transaction ends.

    Raises:
        NotFound: there is none, or it is another organization's.
        Archived: it is archived.
    """
    stored = StoredTests(connection=connection, caller=caller, test_set_id=key)
    await stored.lock()
    await DEFINITION.find_usable(connection, caller, key)
    return stored


async def read(connection: AsyncConnection, caller: Caller, key: UUID) -> TestSet:
    """A set as it is answered."""
    return _test_set(await DEFINITION.find(connection, caller, key))


def _check_order(listed: Sequence[UUID], current: set[UUID]) -> None:
    faults = list(_wrong_places(listed, current))
    missing = current - set(listed)
    if missing:
        detail = f"Every test of the set must be listed; {len(missing)} are missing, such as {min(missing)}."
        faults.append(Fault(pointer="/test_ids", detail=detail))
    if faults:
        first = faults[0]
        raise ValidationFailed(f"{first.pointer}: {first.detail}", faults=faults[:MOST_FAULTS])


def _wrong_places(listed: Sequence[UUID], current: set[UUID]) -> Iterator[Fault]:
    times = Counter(listed)
    for index, key in enumerate(listed):
        if key not in current:
            yield Fault(pointer=f"/test_ids/{index}", detail="The set has no such test.")
        elif times[key] > 1:
            yield Fault(pointer=f"/test_ids/{index}", detail="This test is listed more than once.")
