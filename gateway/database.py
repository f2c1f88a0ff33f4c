"""The gateway's connections: as `gateway_rw`, and only if row-level security binds them."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from gateway.settings import GatewaySettings

ROLE = "gateway_rw"

_WHO_AM_I = """
SELECT current_user AS role, rolsuper OR rolbypassrls AS sees_everything,
       NOT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'gateway' AND tablename = 'task') AS is_empty
FROM pg_roles WHERE rolname = current_user
"""


class DatabaseUnreachable(ConnectionError):
    """There is no usable connection at the moment; the message says why."""


class ServingRefused(DatabaseUnreachable):
    """The database lets this process see every tenant's rows, so it must not serve."""


class NotMigrated(DatabaseUnreachable):
    """The database has no schema or no roles yet."""


def make_engine(
    settings: GatewaySettings, poolclass: type[AsyncAdaptedQueuePool] = AsyncAdaptedQueuePool
) -> AsyncEngine:
    """Build the pool; it connects when it is first used."""
    arguments = _connect_arguments(settings)

    async def connect() -> asyncpg.Connection:
        return await _connect(arguments, settings.database.redacted())

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        poolclass=poolclass,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_timeout_seconds,
        hide_parameters=True,
        # Transactions are begun by `tenant_transaction`; what is executed outside of one is single statements.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
    )
    event.listen(engine.sync_engine, "checkout", _replace_closed)
    return engine


def _connect_arguments(settings: GatewaySettings) -> dict[str, Any]:
    arguments = settings.database.asyncpg_target() | settings.database.asyncpg_arguments(role=ROLE)
    arguments.setdefault("timeout", settings.connect_timeout_seconds)
    return arguments | {"command_timeout": settings.statement_timeout_seconds}


async def _connect(arguments: dict[str, Any], where: str) -> asyncpg.Connection:
    try:
        connection = await asyncpg.connect(**arguments)
    except (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError) as error:
        raise NotMigrated(f"The database {where} has no role {ROLE} yet; run `gateway migrate`. ({error})") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnreachable(f"{where}: {error or type(error).__name__}") from error
    try:
        await _check(connection, where)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _check(connection: asyncpg.Connection, where: str) -> None:
    try:
        me = await connection.fetchrow(_WHO_AM_I)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnreachable(f"{where}: {error or type(error).__name__}") from error
    if me["sees_everything"]:
        raise ServingRefused(
            f"The gateway would serve as the database role {me['role']!r}, which row-level security does not bind, so "
            f"tenants would see each other's rows. Make sure that the connection acts as {ROLE} (a pooler may drop "
            f"start-up parameters) and that {ROLE} is neither superuser nor BYPASSRLS."
        )
    if me["is_empty"]:
        raise NotMigrated(f"The database {where} has no tables yet; run `gateway migrate`.")


def _replace_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """After a restart of the server the pool's connections know that they are closed; no request should find out."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError
