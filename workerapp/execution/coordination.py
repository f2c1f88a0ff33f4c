"""What everybody who asks an endpoint agrees on through the database: its rate, its holds, its circuit, its places.

The parts that hold requests back know nothing of it. One coroutine carries between them and the endpoint's row, on the
connection it is given; an endpoint without a limit costs one look at that row now and then.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, NoReturn, Self
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from workerapp.contract.reasons import ErrorCode, ErrorReason
from workerapp.db.statements import load
from workerapp.execution.admission import Admission
from workerapp.execution.circuit import Circuit, CircuitNews
from workerapp.execution.pace import Pace
from workerapp.execution.places import Places
from workerapp.execution.rate import ReservedRate
from workerapp.setting_groups import CoordinationSettings

SQL = load("coordination")


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointLimits:
    """An endpoint, and what its owner allows; None: as much as anybody likes."""

    endpoint_id: UUID
    max_concurrency: int | None = None
    requests_per_second: float | None = None


class Coordination:
    """One holder's part in it: give `admission` to the target, take one of `places` for each request, and `run` it.

    The connection has to be in autocommit mode and act for the endpoint's organization. Leaving gives the share back.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[dict[str, Any]],
        limits: EndpointLimits,
        settings: CoordinationSettings,
        *,
        holder: UUID,
        wanted: int,
    ) -> None:
        """`wanted` is how many requests the holder would make at once."""
        self._connection, self._limits, self._settings = connection, limits, settings
        self._keys: dict[str, Any] = {"endpoint": limits.endpoint_id, "holder": holder}
        self._news = asyncio.Event()
        per_second = limits.requests_per_second
        self._rate = None if per_second is None else ReservedRate(per_second, self._news)
        self._pace = Pace(self._rate, self._news)
        self._circuit = Circuit(settings.circuit_tests, seconds=settings.circuit_seconds, news=self._news)
        self._looked_at = self._shared_at = -float("inf")
        self.admission = Admission(self._pace, self._circuit)
        self.places = Places(wanted if limits.max_concurrency is None else 0, wanted=wanted, news=self._news)

    async def __aenter__(self) -> Self:
        """Learn first what is known of the endpoint."""
        await self._look()
        return self

    async def __aexit__(self, *_: object) -> None:
        # If the connection is gone, shares and trials end by themselves.
        with suppress(psycopg.Error):
            if self._limits.max_concurrency is not None:
                await self._execute("leave")
            if self._circuit.is_trying:
                await self._execute("give_up_trying")

    async def run(self) -> NoReturn:
        """Tell what is new, and learn what the others do, until cancelled."""
        while True:
            self._news.clear()
            await self._tell_hold()
            await self._tell_circuit()
            await self._reserve()
            await self._share()
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.pause):
                    await self._news.wait()

    async def _tell_hold(self) -> None:
        seconds = self._pace.take_hold()
        if seconds > 0:
            await self._execute("hold", seconds=min(seconds, self._settings.longest_hold))

    async def _tell_circuit(self) -> None:
        news = self._circuit.untold
        if news is CircuitNews.CLOSED:
            await self._execute("close_circuit")
        elif news is CircuitNews.OPENED and self._circuit.reason is not None:
            reason = Jsonb(self._circuit.reason.as_json())
            await self._execute("open_circuit", seconds=self._settings.circuit_seconds, reason=reason)
        if news is not None:
            self._circuit.told(news)

    async def _reserve(self) -> None:
        count = 0 if self._rate is None else self._rate.due()
        if self._rate is None or count == 0:
            return
        row = await self._fetch("reserve", span=count * self._rate.interval)
        self._rate.reserved(asyncio.get_running_loop().time(), row["wait"], count)
        self._pace.look()

    async def _share(self) -> None:
        """Renew the share, or give back what is not kept any more."""
        most, places = self._limits.max_concurrency, self.places
        if most is None or (places.granted <= places.kept and not self._is_over(self._shared_at)):
            return
        self._shared_at = monotonic()
        places.lower()
        kept = places.kept
        row = await self._fetch(
            "share", most=most, wanted=places.wanted, kept=kept, turn=self._settings.turn, lease=self._settings.lease
        )
        places.allow(row["places"], kept=kept)
        if places.granted > places.kept:
            self._news.set()  # What is not used is given back at once.

    async def _look(self) -> None:
        """Learn of holds and of the circuit; what somebody waits for is looked at at once."""
        if not self._is_over(self._looked_at) and not self._circuit.has_waiting:
            return
        self._looked_at = monotonic()
        row = await self._fetch("state")
        if row.get("held") is not None:
            self._pace.join_hold(row["held"])
        if self._circuit.untold is not None:
            return  # What is new here is newer.
        if row.get("open") is None:
            self._circuit.close()
            return
        if not self._circuit.is_trying:
            self._circuit.open(_reason(row["circuit_reason"]), row["open"])
        if row["open"] <= 0 and not self._circuit.is_trying and self._circuit.has_waiting:
            await self._try_circuit()

    async def _try_circuit(self) -> None:
        if await self._fetch("try_circuit", seconds=self._settings.circuit_seconds) and self._circuit.has_waiting:
            self._circuit.let_one_try()

    def _is_over(self, since: float) -> bool:
        return monotonic() - since >= self._settings.pause

    async def _execute(self, name: str, **row: Any) -> None:
        await self._connection.execute(SQL[name], self._keys | row)

    async def _fetch(self, name: str, **row: Any) -> dict[str, Any]:
        """The row, if there is one."""
        cursor = await self._connection.execute(SQL[name], self._keys | row)
        return await cursor.fetchone() or {}


def _reason(stored: dict[str, Any]) -> ErrorReason:
    return ErrorReason(ErrorCode(stored["code"]), stored["message"], stored["retryable"])
