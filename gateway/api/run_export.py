"""`/v1/test-runs/{id}/export`: all results as a file, streamed page by page so that its size costs no memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import StreamingResponse

from gateway.api.answers import In
from gateway.api.export_formats import Csv, ExportedRun, ExportFormat, JsonLines
from gateway.api.junit import JUnit
from gateway.api.paging import path_uuid, read_query
from gateway.api.routing import Answer
from gateway.api.test_runs import (
    WHAT,
    ResultPlace,
    TestResult,
    TestRun,
    answered_run,
    find_ended_run,
    find_run,
    place_of,
    results_of,
)
from gateway.middleware import Detached
from gateway.services import Services, services_of
from workerapp.contract.caller import Caller
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction

_FORMATS: dict[str, Callable[[ExportedRun], ExportFormat]] = {"jsonl": JsonLines, "csv": Csv, "junit": JUnit}


class ExportQuery(In):
    """As what."""

    format: Literal["jsonl", "csv", "junit"] = "jsonl"


async def export_test_run(request: Request, caller: Caller) -> Answer:
    """The file; one that breaks off ends its connection without the last chunk, so that nobody takes it for whole."""
    services = services_of(request)
    key = path_uuid(request, "test_run_id", WHAT)
    query = read_query(request, ExportQuery)
    # A JUnit report begins with its counts, which are only known at the end.
    find = find_ended_run if query.format == "junit" else find_run
    async with tenant_transaction(services.engine, caller) as connection:
        run = answered_run(await find(connection, caller, key))
        name = await _configuration_name(connection, caller, run)
    exported = ExportedRun(run=run, name=name, excerpt_length=services.settings.excerpt_length)
    written = _FORMATS[query.format](exported)
    headers = {"Content-Disposition": f'attachment; filename="test-run-{key}.{written.extension}"'}
    return Detached(StreamingResponse(_file(services, caller, key, written), 200, headers, written.media_type))


async def _configuration_name(connection: AsyncConnection, caller: Caller, run: TestRun) -> str:
    table = tables.test_configuration.c
    statement = select(table.name).where(
        table.organization_id == caller.organization_id, table.id == run.test_configuration_id
    )
    name: str = (await connection.execute(statement)).scalar_one()
    return name


async def _file(services: Services, caller: Caller, key: UUID, written: ExportFormat) -> AsyncIterator[str]:
    yield written.head()
    async for page in _pages(services, caller, key):
        yield "".join(written.row(result) for result in page)
    yield written.tail()


async def _pages(services: Services, caller: Caller, key: UUID) -> AsyncIterator[list[TestResult]]:
    """Each page is a short transaction of its own: a client that reads slowly keeps none open."""
    size = services.settings.export_page_size
    after: ResultPlace | None = None
    while True:
        async with tenant_transaction(services.engine, caller) as connection:
            rows = (await connection.execute(results_of(caller, key, after).limit(size))).mappings().all()
        if not rows:
            return
        after = place_of(rows[-1])
        yield [TestResult(**row) for row in rows]
