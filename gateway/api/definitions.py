"""What endpoints, test sets and configurations have in common: listed, read by id, and archived instead of deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Row, Table, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Out, answer
from gateway.api.conditions import answer_tagged, check_match
from gateway.api.paging import PageQuery, not_found, page_limit, page_of, path_uuid, read_cursor, read_query
from gateway.audit import note
from gateway.errors import Archived
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.db.direct import DirectStatement
from workerapp.db.tenant import tenant_transaction

_Item = TypeVar("_Item", bound=Out)


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition(Generic[_Item]):
    """One kind of definition: where it is stored and how it is answered."""

    table: Table
    what: str
    path_name: str
    item: Callable[[Any], _Item]
    #: What is selected besides the columns of the table.
    extra: tuple[Any, ...] = ()

    async def insert(self, connection: AsyncConnection, caller: Caller, values: Mapping[str, Any]) -> Row[Any]:
        """Store a new one."""
        statement = insert(self.table).values(organization_id=caller.organization_id, **values)
        return (await connection.execute(statement.returning(*self.table.c))).one()

    async def find(self, connection: AsyncConnection, caller: Caller, key: UUID) -> Row[Any]:
        """Read one, archived or not.

        Raises:
            NotFound: there is none, or it is another organization's.
        """
        statement = self._select(caller).where(self.table.c.id == key)
        row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise not_found(self.what, key)
        return row

    async def check(self, connection: AsyncConnection, caller: Caller, key: UUID) -> None:
        """Look whether there is one, archived or not.

        Raises:
            NotFound: there is none, or it is another organization's.
        """
        columns = self.table.c
        statement = select(columns.id).where(columns.organization_id == caller.organization_id, columns.id == key)
        if (await connection.execute(statement)).one_or_none() is None:
            raise not_found(self.what, key)

    async def find_usable(self, connection: AsyncConnection, caller: Caller, key: UUID) -> Any:
        """Read the columns of one that is to be used.

        Raises:
            NotFound: there is none, or it is another organization's.
            Archived: it is archived.
        """
        asked = {"organization_id": caller.organization_id, "id": key}
        columns = await _row_of(self.table).fetch_one(connection, asked)
        if columns is None:
            raise not_found(self.what, key)
        row = SimpleNamespace(**columns)
        self.check_usable(row)
        return row

    def check_usable(self, row: Any) -> None:
        """Raise `Archived` if it is."""
        if row.archived_at is not None:
            raise Archived(f"The {self.what} {row.id} is archived and can no longer be used.")

    async def find_same(self, connection: AsyncConnection, request: Request, caller: Caller, key: UUID) -> Row[Any]:
        """Read one that the request changes, archived or not; nobody else changes it before the transaction ends.

        Raises:
            NotFound: there is none, or it is another organization's.
            PreconditionFailed: it is another one than the request is for.
        """
        columns = self.table.c
        mine = (columns.organization_id == caller.organization_id) & (columns.id == key)
        await connection.execute(select(columns.id).where(mine).with_for_update(key_share=True))
        row = await self.find(connection, caller, key)
        check_match(request, self.item(row))
        return row

    async def get(self, request: Request, caller: Caller) -> Response:
        """Answer one."""
        key = path_uuid(request, self.path_name, self.what)
        async with tenant_transaction(services_of(request).engine, caller) as connection:
            return answer_tagged(request, self.item(await self.find(connection, caller, key)))

    async def list(self, request: Request, caller: Caller) -> Response:
        """Answer those that are not archived, the newest first."""
        services = services_of(request)
        query = read_query(request, PageQuery)
        limit, before = page_limit(query, services.settings), read_cursor(query, UUID)
        statement = self._select(caller).where(self.table.c.archived_at.is_(None))
        if before is not None:
            statement = statement.where(self.table.c.id < before)
        async with tenant_transaction(services.engine, caller) as connection:
            rows = (await connection.execute(statement.order_by(self.table.c.id.desc()).limit(limit + 1))).all()
        return answer(page_of(rows, limit, self.item, lambda row: row.id))

    async def archive(self, request: Request, caller: Caller) -> Response:
        """Archive one; nothing happens if it is archived already."""
        key = path_uuid(request, self.path_name, self.what)
        columns = self.table.c
        async with tenant_transaction(services_of(request).engine, caller) as connection:
            await self.find_same(connection, request, caller, key)
            await connection.execute(
                update(self.table)
                .where(
                    columns.id == key, columns.organization_id == caller.organization_id, columns.archived_at.is_(None)
                )
                .values(archived_at=func.now(), updated_at=func.now())
            )
            await note(connection, request, caller)
        return Response(status_code=204)

    def _select(self, caller: Caller) -> Any:
        return select(*self.table.c, *self.extra).where(self.table.c.organization_id == caller.organization_id)


@cache
def _row_of(table: Table) -> DirectStatement:
    is_it = (table.c.organization_id == bindparam("organization_id")) & (table.c.id == bindparam("id"))
    return DirectStatement(select(table).where(is_it))
