"""An application under test in this process, and runs against it without a worker: what the tests of lanes share."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
from aiohttp import web

from tests.postgres import TestDatabase
from tests.records import add_configuration, add_organization, add_run, connect
from workerapp.contract.repetition import Repetition
from workerapp.contract.specs import RunOptions
from workerapp.db.engine import WorkerDatabase
from workerapp.execution.lanes import SliceOutcome
from workerapp.execution.plan import LanePlan, plan_run
from workerapp.execution.slices import LaneSlice, SliceReport, run_slice
from workerapp.settings import WorkerSettings

EQUALS = [{"type": "equals"}]
MAX_RESULTS = 10_000


@dataclass
class Application:
    """An application under test: it echoes or answers the status it is asked for, counts, and can be held back."""

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    #: When each was asked.
    times: list[float] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    in_flight: int = 0
    most_in_flight: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    pause: float = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        question = (await request.json())["input"]
        self.asked[question] += 1
        self.order.append(question)
        self.times.append(monotonic())
        self.authorizations.add(request.headers.get("Authorization"))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.reached.set()
        try:
            await self.gate.wait()
            await asyncio.sleep(self.pause)
            return self._respond(question, self.asked[question])
        finally:
            self.in_flight -= 1

    @staticmethod
    def _respond(question: str, times: int) -> web.Response:
        if question.startswith("busy ") and times == 1:
            return web.Response(status=429, headers={"Retry-After": question.removeprefix("busy ")})
        if question.startswith("broken"):
            return web.Response(status=500, text="out of order")
        if question.startswith("status "):
            return web.Response(status=int(question.removeprefix("status ")), text="no")
        return web.json_response({"output": question})


@asynccontextmanager
async def serving(*, pause: float = 0.0, held: bool = False) -> AsyncIterator[Application]:
    application = Application(pause=pause)
    if not held:
        application.gate.set()
    app = web.Application()
    app.router.add_post("/", application.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    application.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield application
    finally:
        await runner.cleanup()


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Plans and executes runs in this process, as the tasks do in a worker."""

    admin: psycopg.Connection
    settings: WorkerSettings
    database: WorkerDatabase
    organization_id: UUID

    def plan(self, url: str, tests: list[dict[str, Any]], *, lane_concurrency: int = 50, **spec: Any) -> list[LanePlan]:
        spec = {"metrics": EQUALS} | spec
        configuration = add_configuration(self.admin, self.organization_id, tests=tests, url=url, **spec)
        return self.execute(configuration, lane_concurrency=lane_concurrency)

    def execute(
        self,
        configuration: UUID,
        *,
        lane_concurrency: int = 50,
        run_group_id: UUID | None = None,
        head_start: int | None = None,
        **overrides: Any,
    ) -> list[LanePlan]:
        """A run of a configuration that is there; `overrides` hold for this run."""
        run = add_run(self.admin, self.organization_id, configuration, run_group_id=run_group_id)
        with self.database.session(self.organization_id) as db:
            lanes = plan_run(
                db,
                run,
                lane_concurrency=lane_concurrency,
                max_results=MAX_RESULTS,
                overrides=RunOptions.model_validate(overrides),
                head_start=head_start,
            )
        assert lanes is not None
        return lanes

    def repeat(self, run: UUID, repetition: Repetition | None = None, *, lane_concurrency: int = 50) -> list[LanePlan]:
        """Another run of the same configuration, which may repeat what the first one had."""
        (configuration,) = self.row("SELECT test_configuration_id FROM test_run WHERE id = %s", run)
        again = add_run(self.admin, self.organization_id, configuration)
        with self.database.session(self.organization_id) as db:
            lanes = plan_run(
                db, again, lane_concurrency=lane_concurrency, max_results=MAX_RESULTS, repetition=repetition
            )
        assert lanes is not None
        return lanes

    async def work(self, lane: LanePlan, slice_number: int = 0, **changes: Any) -> SliceReport:
        work = self.slice_of(lane, slice_number)
        return await run_slice(work, self.with_lanes(**changes))

    async def finish(self, lane: LanePlan, **changes: Any) -> int:
        """Work slice after slice, as a worker does; how many it took."""
        for number in itertools.count():
            report = await self.work(lane, number, **changes)
            if report.outcome is not SliceOutcome.CONTINUES:
                return number + 1
            self.admin.execute(
                "UPDATE lane SET slice = slice + 1, leased_by = NULL, lease_until = NULL"
                " WHERE test_run_id = %s AND number = %s",
                (lane.test_run_id, lane.number),
            )
        raise AssertionError

    def slice_of(self, lane: LanePlan, slice_number: int = 0) -> LaneSlice:
        return LaneSlice(
            test_run_id=lane.test_run_id,
            number=lane.number,
            slice=slice_number,
            organization_id=str(self.organization_id),
        )

    def with_lanes(self, **changes: Any) -> WorkerSettings:
        return self.settings.model_copy(update=changes) if changes else self.settings

    def row(self, statement: str, *parameters: Any) -> Any:
        row = self.admin.execute(statement.encode(), parameters).fetchone()
        assert row is not None
        return row

    def statuses(self, run: UUID) -> dict[str, str]:
        rows = self.admin.execute(
            "SELECT t.input #>> '{}', r.status FROM test_result r JOIN test t ON t.id = r.test_id"
            " WHERE r.test_run_id = %s ORDER BY r.position",
            (run,),
        )
        return dict(rows.fetchall())

    def status(self, run: UUID) -> str:
        return str(self.row("SELECT status FROM test_run WHERE id = %s", run)[0])


@contextmanager
def opened_runs(database: TestDatabase, **settings: Any) -> Iterator[Runs]:
    """Runs of a new organization, with a worker's settings whose waits are short."""
    short: dict[str, Any] = {"lane_idle_seconds": 0.05, "target_backoff_seconds": 0.01}
    worker = WorkerSettings(database_url=database.url, outbound_allow="127.0.0.0/8", **short | settings)
    with connect(database.admin_url) as admin:
        worker_database = WorkerDatabase(worker.database)
        try:
            yield Runs(admin=admin, settings=worker, database=worker_database, organization_id=add_organization(admin))
        finally:
            worker_database.engine.dispose()
