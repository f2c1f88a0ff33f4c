"""Which tenant a transaction acts for: set at its start, gone at its end, so a pooled connection cannot leak it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal
from uuid import UUID

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from workerapp.contract.caller import Caller
from workerapp.db.direct import DRIVER_FAILURES, driver_of, failure

#: Both are local to the transaction (the third argument of `set_config`).
SET_TENANT = text(
    "SELECT set_config('app.current_organization', :organization_id, true),"
    " set_config('app.current_user', :user_id, true)"
)

Isolation = Literal["READ COMMITTED", "REPEATABLE READ"]


def set_tenant(connection: Connection, organization_id: UUID | str, user_id: UUID | str | None = None) -> None:
    """Make the open transaction of `connection` act for this tenant."""
    connection.execute(SET_TENANT, _parameters(organization_id, user_id))


async def enter_tenant(
    connection: AsyncConnection, organization_id: UUID | str, user_id: UUID | str | None = None
) -> None:
    """Make the open transaction of `connection` act for another tenant from here on."""
    await connection.execute(SET_TENANT, _parameters(organization_id, user_id))


def tenant_transaction(
    engine: AsyncEngine, caller: Caller, *, isolation: Isolation = "READ COMMITTED"
) -> AbstractAsyncContextManager[AsyncConnection]:
    """A `transaction` that acts for the caller; it begins and gets its tenant in one round trip."""
    return transaction(engine, _begin(caller, isolation))


@asynccontextmanager
async def transaction(engine: AsyncEngine, begin: str = "BEGIN") -> AsyncIterator[AsyncConnection]:
    """One transaction; it commits at the end of the block and rolls back on an exception.

    The engine is in autocommit mode, where SQLAlchemy's own `begin` begins nothing. A connection that may still be in
    the transaction is not used again.
    """
    async with engine.connect() as connection:
        driver = await driver_of(connection)
        try:
            await _execute(driver, begin)
            yield connection
            await _execute(driver, "COMMIT")
        except BaseException:
            await _roll_back(driver)
            raise


def _begin(caller: Caller, isolation: Isolation) -> str:
    # Without parameters, which several statements at once cannot have: what is quoted are UUIDs.
    organization_id, user_id = (
        UUID(str(caller.organization_id)),
        "" if caller.user_id is None else UUID(str(caller.user_id)),
    )
    return (
        f"BEGIN ISOLATION LEVEL {isolation}; SELECT set_config('app.current_organization', '{organization_id}', true),"
        f" set_config('app.current_user', '{user_id}', true)"
    )


async def _execute(driver: asyncpg.Connection, statements: str) -> None:
    try:
        await driver.execute(statements)
    except DRIVER_FAILURES as error:
        raise failure(statements, error) from error


async def _roll_back(driver: asyncpg.Connection) -> None:
    try:
        if not driver.is_closed():
            await driver.execute("ROLLBACK")
    except BaseException:
        driver.terminate()
        raise


def _parameters(organization_id: UUID | str, user_id: UUID | str | None) -> dict[str, str]:
    return {"organization_id": str(organization_id), "user_id": "" if user_id is None else str(user_id)}
