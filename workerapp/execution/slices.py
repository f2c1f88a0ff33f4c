"""One slice of a lane: its connection, its start if the lane has not moved on, and its end.

A lane works in slices. It starts only with the slice its message names, so a message delivered twice does nothing.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from workerapp.contract.events import EVENT_CHANNEL
from workerapp.contract.specs import ConfigurationSpec
from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import ROLE
from workerapp.db.statements import load
from workerapp.execution.coordination import Coordination, EndpointLimits
from workerapp.execution.credentials import TokenCache
from workerapp.execution.judges.endpoints import StoredEndpoints
from workerapp.execution.lanes import Lane, SliceOutcome, fetch
from workerapp.execution.measures import BROKEN, LANES, SLICES
from workerapp.execution.plan import RESCORE_OF
from workerapp.execution.trial import open_trials
from workerapp.settings import WorkerSettings

logger = logging.getLogger(__name__)

SQL = load("lanes")


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSlice:
    """One slice of one lane, for one tenant."""

    test_run_id: UUID
    number: int
    slice: int
    organization_id: str
    user_id: str | None = None
    #: Who works on it: a new value for every start.
    holder: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class SliceReport:
    """How a slice ended, how many tests it executed, and after how many seconds a busy lane may be free."""

    outcome: SliceOutcome
    tests: int = 0
    free_in: float = 0.0


async def run_slice(work: LaneSlice, settings: WorkerSettings, tokens: TokenCache | None = None) -> SliceReport:
    """Execute pending tests until the slice's time is up or nothing is left; `tokens` are those of earlier slices."""
    outcome = BROKEN
    LANES.rise()
    try:
        report = await _run(work, settings, tokens)
        outcome = report.outcome
    finally:
        LANES.fall()
        SLICES.add(outcome)
    return report


async def _run(work: LaneSlice, settings: WorkerSettings, tokens: TokenCache | None) -> SliceReport:
    async with _connect(settings.database, work) as connection:
        keys = {"run": work.test_run_id, "number": work.number, "slice": work.slice, "holder": work.holder}
        start = await fetch(connection, "start", keys | {"lease": settings.lanes.lease})
        if start is None:
            return await _not_started(connection, keys)
        if start["before"] is not None:
            await connection.execute(SQL["inherit"], keys | {"before": start["before"]})
        try:
            report = await _work(connection, keys, start, settings, tokens)
        except BaseException:
            await _let_go(connection, keys)
            raise
        if report.outcome is SliceOutcome.FINISHED:
            await connection.execute(SQL["finish"], keys)
            await connection.execute(SQL["settle"], keys)
            await connection.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
        return report


async def _work(
    connection: psycopg.AsyncConnection[dict[str, Any]],
    keys: dict[str, Any],
    start: dict[str, Any],
    settings: WorkerSettings,
    tokens: TokenCache | None,
) -> SliceReport:
    coordination = _coordination(connection, keys, start, settings)
    async with AsyncExitStack() as opened:
        if coordination is not None:
            await opened.enter_async_context(coordination)
        admission = None if coordination is None else coordination.admission
        judges = StoredEndpoints(connection, settings.sealer).find
        trials = await opened.enter_async_context(
            open_trials(start, settings, keys["run"], judges, tokens, admission=admission)
        )
        configuration = ConfigurationSpec.model_validate(start["snapshot"]["configuration"])
        lane = Lane(
            connection=connection,
            keys=keys,
            trials=trials,
            limit=start["concurrency"],
            settings=settings.lanes,
            sequential=configuration.mode == "sequential",
            ends_at_failures=configuration.max_failures is not None,
            coordination=coordination,
        )
        outcome = await lane.work(stopped=start["settled"] or start["cancelled"])
        return SliceReport(outcome, tests=lane.recorded)


def _coordination(
    connection: psycopg.AsyncConnection[dict[str, Any]],
    keys: dict[str, Any],
    start: dict[str, Any],
    settings: WorkerSettings,
) -> Coordination | None:
    """With all others who ask the run's endpoint; None if it is not asked, as its answers are only judged again."""
    snapshot = start["snapshot"]
    if RESCORE_OF in snapshot:
        return None
    limits = EndpointLimits(
        endpoint_id=UUID(snapshot["endpoint_id"]),
        max_concurrency=snapshot["endpoint"].get("max_concurrency"),
        requests_per_second=snapshot["endpoint"].get("requests_per_second"),
    )
    return Coordination(connection, limits, settings.coordination, holder=keys["holder"], wanted=start["concurrency"])


async def _not_started(connection: psycopg.AsyncConnection[dict[str, Any]], keys: dict[str, Any]) -> SliceReport:
    """Tell why. A lane that has finished says so again: whoever finished it may not have lived to record its task."""
    lane = await fetch(connection, "not_started", keys)
    if lane is None:
        return SliceReport(SliceOutcome.PASSED)
    if lane["finished"]:
        return SliceReport(SliceOutcome.FINISHED)
    return SliceReport(SliceOutcome.BUSY, free_in=lane["seconds"])


@asynccontextmanager
async def _connect(address: DatabaseAddress, work: LaneSlice) -> AsyncIterator[psycopg.AsyncConnection[dict[str, Any]]]:
    conninfo = address.conninfo(role=ROLE, application_name="lane")
    connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True, row_factory=dict_row)
    async with connection:
        tenant = {"organization_id": str(work.organization_id), "user_id": work.user_id or ""}
        await connection.execute(SQL["act_for"], tenant)
        yield connection


async def _let_go(connection: psycopg.AsyncConnection[dict[str, Any]], keys: dict[str, Any]) -> None:
    """Free the lane for a retry; if the database is gone the leases end by themselves."""
    try:
        await connection.execute(SQL["release"], keys)
        await connection.execute(SQL["let_go"], keys)
    except psycopg.Error:
        logger.warning("lane_not_released", extra={"test_run_id": str(keys["run"]), "lane": keys["number"]})
