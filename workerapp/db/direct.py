"""Statements that are executed for nearly every request, handed to asyncpg as SQLAlchemy has compiled them once.

Measured with a status read: finding out anew what to execute, and what came of it, cost three times the statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg
from pydantic_core import to_json
from sqlalchemy import JSON
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_DIALECT = dialect()  # type: ignore[no-untyped-call]
DRIVER_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class DirectStatement:
    """A statement with `bindparam`s; execute it on connections of the engine that `tenant_transaction` is for."""

    def __init__(self, statement: Any) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self._sql = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._json = frozenset(name for name, bind in compiled.binds.items() if isinstance(bind.type, JSON))

    async def fetch_one(self, connection: AsyncConnection, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """The first row by its columns, or none; a parameter that `values` do not have is null.

        Raises:
            DBAPIError: as SQLAlchemy would; the driver's exception is its `orig`.
        """
        driver = await driver_of(connection)
        try:
            row = await driver.fetchrow(self._sql, *(self._value(name, values) for name in self._names))
        except DRIVER_FAILURES as error:
            raise failure(self._sql, error) from error
        return None if row is None else dict(row)

    def _value(self, name: str, values: Mapping[str, Any]) -> Any:
        value = values[name] if name in values else self._constants.get(name)
        return value if value is None or name not in self._json else to_json(value).decode()


async def driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    """The connection of asyncpg behind SQLAlchemy's."""
    driver: asyncpg.Connection = (await connection.get_raw_connection()).driver_connection
    return driver


def failure(statement: str, error: Exception) -> DBAPIError:
    """A driver's exception as SQLAlchemy raises it, without the values."""
    return DBAPIError(statement, None, error, hide_parameters=True)
