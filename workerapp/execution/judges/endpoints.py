"""The stored endpoints that judge, with their secrets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

import psycopg

from workerapp.contract.specs import EndpointSpec
from workerapp.db.sealing import Sealer, SealingUnavailable
from workerapp.db.statements import load
from workerapp.execution.metrics.finding import CannotJudge
from workerapp.execution.sealed_endpoint import SealedEndpoint

SQL = load("judges")

FindEndpoint: TypeAlias = Callable[[UUID], Awaitable[EndpointSpec]]


class StoredEndpoints:
    """Finds endpoints of the organization that a connection acts for."""

    def __init__(self, connection: psycopg.AsyncConnection[dict[str, Any]], sealer: Sealer) -> None:
        self._connection, self._sealer = connection, sealer

    async def find(self, key: UUID) -> EndpointSpec:
        """One that can be asked.

        Raises:
            CannotJudge: there is none, or it is archived, or its secrets cannot be opened.
        """
        cursor = await self._connection.execute(SQL["endpoint"], {"endpoint": key})
        row = await cursor.fetchone()
        if row is None:
            raise CannotJudge(f"there is no endpoint {key} that could judge")
        if row.pop("archived"):
            raise CannotJudge(f"the endpoint {key} is archived and does not judge any more")
        try:
            return SealedEndpoint(**row).open(self._sealer)
        except SealingUnavailable as error:
            raise CannotJudge(f"the worker cannot open the secrets of the endpoint {key}: {error}") from None
