"""The tests of a set as they are stored: appended, replaced and ordered, every change counted by the set's version.

A test is never changed, only archived and replaced, so a run's results keep pointing at what was asked. Its position
belongs to the set: results have positions of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.api.metric_references import References
from gateway.api.paging import not_found
from gateway.errors import Archived, EmptyTestSet, Fault, TooManyTests
from gateway.settings import GatewaySettings
from workerapp.contract.caller import Caller
from workerapp.contract.specs import TestSpec
from workerapp.db import tables
from workerapp.db.statements import clause

WHAT = "test"

_test, _set = tables.test.c, tables.test_set.c


def check_count(count: int, most: int) -> None:
    """Refuse a request that brings no tests, or too many.

    Raises:
        EmptyTestSet: there are none.
        TooManyTests: there are more than `most`.
    """
    if count == 0:
        detail = "There must be at least one test."
        raise EmptyTestSet(f"/tests: {detail}", faults=[Fault(pointer="/tests", detail=detail)])
    if count > most:
        detail = f"There are {count} tests; at most {most} are accepted at once."
        raise TooManyTests(f"/tests: {detail}", faults=[Fault(pointer="/tests", detail=detail)])


def references_of(tests: Sequence[TestSpec], settings: GatewaySettings) -> References:
    """What the assertions of a request's tests refer to. Raises what `References.add` does."""
    references = References(settings.outbound)
    for number, test in enumerate(tests):
        references.add_test(test, f"/tests/{number}")
    return references


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTests:
    """The tests of one set, in a transaction of the organization that has it."""

    connection: AsyncConnection
    caller: Caller
    test_set_id: UUID

    async def lock(self) -> None:
        """Let nobody else change the set before this transaction ends; a set that is not there is not locked."""
        await self.connection.execute(clause("test_sets", "lock"), self._names())

    async def count_change(self, **values: Any) -> None:
        """Count a change of the set; `values` are columns of it that change."""
        values |= {"version": _set.version + 1, "updated_at": func.now()}
        mine = (_set.id == self.test_set_id) & (_set.organization_id == self.caller.organization_id)
        await self.connection.execute(update(tables.test_set).where(mine).values(**values))

    async def append(self, tests: Sequence[TestSpec], most: int) -> list[UUID]:
        """Store tests behind those there are, in a set that is locked; their ids.

        Raises:
            TooManyTests: the set would have more than `most`.
        """
        end = await self.end()
        check_room(end.tests, len(tests), most)
        rows = [self._row(test, end.position + number) for number, test in enumerate(tests)]
        return await self._insert(rows)

    async def append_json(self, tests: Sequence[bytes], position: int) -> None:
        """Store tests from `position` on, each an object with all fields of a `TestSpec`."""
        listed = {"tests": (b"[" + b",".join(tests) + b"]").decode(), "position": position}
        await self.connection.execute(clause("test_sets", "append"), self._names() | listed)

    async def end(self) -> Any:
        """The `position` behind the last test, and how many `tests` there are."""
        return (await self.connection.execute(clause("test_sets", "end"), self._names())).one()

    async def find(self, key: UUID) -> Any:
        """A test of the set, archived or not.

        Raises:
            NotFound: the set never had it.
        """
        row = (await self.connection.execute(select(tables.test).where(self._is_mine(), _test.id == key))).one_or_none()
        if row is None:
            raise not_found(WHAT, key)
        return row

    async def archive(self, key: UUID) -> None:
        """The set has this test no more."""
        await self.connection.execute(
            update(tables.test).where(self._is_mine(), _test.id == key).values(archived_at=func.now())
        )

    async def archive_all(self) -> None:
        """The set has none of its tests any more."""
        await self.connection.execute(
            update(tables.test).where(self._is_mine(), _test.archived_at.is_(None)).values(archived_at=func.now())
        )

    async def replace(self, key: UUID, test: TestSpec) -> Any:
        """Archive a test of a set that is locked, and store another one at its position; its row.

        Raises:
            NotFound: the set never had it.
            Archived: the set has it no more.
        """
        old = await self.find(key)
        if old.archived_at is not None:
            raise Archived(f"The test {key} is archived; only a test that the set has can be replaced.")
        await self.archive(key)
        return await self.find((await self._insert([self._row(test, old.position)]))[0])

    async def ids(self) -> set[UUID]:
        """The ids of the set's tests."""
        return set((await self.connection.execute(clause("test_sets", "current"), self._names())).scalars())

    async def reorder(self, test_ids: Sequence[UUID]) -> None:
        """Put the tests in the order of these ids, which must be all of them."""
        listed = {"test_ids": list(test_ids)}
        await self.connection.execute(clause("test_sets", "reorder"), self._names() | listed)

    def _is_mine(self) -> Any:
        return (_test.organization_id == self.caller.organization_id) & (_test.test_set_id == self.test_set_id)

    def _names(self) -> dict[str, Any]:
        return {"organization": self.caller.organization_id, "test_set": self.test_set_id}

    def _row(self, test: TestSpec, position: int) -> dict[str, Any]:
        owner = {"organization_id": self.caller.organization_id, "test_set_id": self.test_set_id}
        return owner | {"position": position} | test.model_dump(mode="json")

    async def _insert(self, rows: Sequence[dict[str, Any]]) -> list[UUID]:
        statement = insert(tables.test).returning(_test.id, sort_by_parameter_order=True)
        return list((await self.connection.execute(statement, rows)).scalars())


def check_room(there: int, more: int, most: int) -> None:
    """Refuse tests that the set has no room for.

    Raises:
        TooManyTests: the set would have more than `most`.
    """
    if there + more > most:
        raise TooManyTests(f"The set has {there} tests and would have {there + more}; a set has at most {most}.")
