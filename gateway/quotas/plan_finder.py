"""Finds the plan of an organization, and remembers it for some seconds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.quotas.buckets import Clock
from gateway.quotas.plan import DEFAULT, Plan
from workerapp.contract.caller import Caller
from workerapp.db.tables import organization
from workerapp.db.tenant import tenant_transaction

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    until: float


class PlanFinder:
    """One look at the database for each organization that asks, every `cache_seconds`."""

    def __init__(self, engine: AsyncEngine, plans: Mapping[str, Plan], *, cache_seconds: float, clock: Clock) -> None:
        self._engine = engine
        self._plans = plans
        self._seconds = cache_seconds
        self._clock = clock
        self._known: dict[UUID, _Known] = {}

    async def find(self, caller: Caller) -> Plan:
        """The plan of the caller's organization; that of the name `default` if it has one that is not known here."""
        known = self._known.get(caller.organization_id)
        if known is None or known.until <= self._clock():
            await self._look_up(caller, known)
        return self.known(caller.organization_id)

    def known(self, organization_id: UUID) -> Plan:
        """The plan as it was found last: every request begins with finding it."""
        known = self._known.get(organization_id)
        default = self._plans[DEFAULT]
        return default if known is None else self._plans.get(known.name, default)

    async def _look_up(self, caller: Caller, before: _Known | None) -> None:
        key = caller.organization_id
        async with tenant_transaction(self._engine, caller) as connection:
            name = await connection.scalar(select(organization.c.plan).where(organization.c.id == key)) or DEFAULT
        if name not in self._plans and (before is None or before.name != name):
            logger.warning("plan_unknown", extra={"organization_id": str(key), "plan": name})
        self._known[key] = _Known(name, self._clock() + self._seconds)
