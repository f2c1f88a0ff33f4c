"""Which tenant a transaction acts for: set at its start, gone at its end, so a pooled connection cannot leak it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from workerapp.contract.caller import Caller

#: Both are local to the transaction (the third argument of `set_config`).
SET_TENANT = text(
    "SELECT set_config('app.current_organization', :organization_id, true),"
    " set_config('app.current_user', :user_id, true)"
)


def set_tenant(connection: Connection, organization_id: UUID | str, user_id: UUID | str | None = None) -> None:
    """Make the open transaction of `connection` act for this tenant."""
    connection.execute(SET_TENANT, _parameters(organization_id, user_id))


async def enter_tenant(
    connection: AsyncConnection, organization_id: UUID | str, user_id: UUID | str | None = None
) -> None:
    """Make the open transaction of `connection` act for this tenant."""
    await connection.execute(SET_TENANT, _parameters(organization_id, user_id))


@asynccontextmanager
async def tenant_transaction(engine: AsyncEngine, caller: Caller) -> AsyncIterator[AsyncConnection]:
    """One transaction that acts for the caller; it commits at the end of the block and rolls back on an exception."""
    async with engine.begin() as connection:
        await enter_tenant(connection, caller.organization_id, caller.user_id)
        yield connection


def _parameters(organization_id: UUID | str, user_id: UUID | str | None) -> dict[str, str]:
    return {"organization_id": str(organization_id), "user_id": "" if user_id is None else str(user_id)}
