"""`POST /v1/test-sets/{test_set_id}/import`: tests from a file, all of them or none.

The body goes to a temporary file and is read from there line by line, so neither a large body nor a slow caller holds
memory or a database connection; what is right goes to a second file, and from that one in batches into one transaction.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Annotated, BinaryIO, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import test_sets
from gateway.api.answers import In, Out
from gateway.api.idempotency import Made, make_once
from gateway.api.metric_references import References
from gateway.api.paging import path_uuid, read_query
from gateway.api.stored_tests import StoredTests, check_room
from gateway.api.test_file import TestFile
from gateway.api.test_sets import DEFINITION, TestSet
from gateway.errors import ImportsFull, UnsupportedMediaType
from gateway.records import FIELDS, JSON_LINES, TABLE, Format
from gateway.services import Services, services_of
from workerapp.contract.caller import Caller
from workerapp.db.tenant import tenant_transaction

logger = logging.getLogger(__name__)

#: What is received, or written to the database, at once.
BATCH_BYTES = 1024 * 1024

_FORMATS = {"application/x-ndjson": JSON_LINES, "application/jsonl": JSON_LINES, "text/csv": TABLE}

FieldName = Annotated[str, Field(min_length=1, max_length=200)]


class ImportQuery(In):
    """How the file is read, and what becomes of the tests there are."""

    mode: Literal["append", "replace"] = "append"
    input_field: FieldName | None = None
    expected_field: FieldName | None = None
    tags_field: FieldName | None = None
    metadata_field: FieldName | None = None
    assertions_field: FieldName | None = None
    turns_field: FieldName | None = None

    def names(self) -> dict[str, str]:
        """The file's names of the fields that it names otherwise."""
        given = {name: getattr(self, f"{name}_field") for name in FIELDS}
        return {name: theirs for name, theirs in given.items() if theirs is not None}


class Imported(Out):
    """The set as it is now, and how many tests the file had."""

    test_set: TestSet
    imported: int


class _Asked(BaseModel):
    """What an Idempotency-Key stands for."""

    query: ImportQuery
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """A file that was received: how many tests it has, and which one it is."""

    count: int
    sha256: str


async def import_tests(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = path_uuid(request, DEFINITION.path_name, DEFINITION.what)
    async with tenant_transaction(services.engine, caller) as connection:
        await DEFINITION.find_usable(connection, caller, key)
    query = read_query(request, ImportQuery)
    file = TestFile(form=_format(request), names=query.names(), settings=services.settings)
    with services.imports.place(caller.organization_id), TemporaryFile() as tests:
        references = References(services.settings.outbound)
        read = await _read(request, file, tests, references)
        await _check(services, caller, references)
        most = services.most_tests_per_set(caller.organization_id)

        async def work(connection: AsyncConnection) -> Made:
            imported = await _store(connection, caller, key, tests, count=read.count, most=most, mode=query.mode)
            details = {"tests": read.count, "mode": query.mode}
            return Made(status=200, location=f"/v1/test-sets/{key}/tests", body=imported, details=details)

        return await make_once(request, caller, _Asked(query=query, sha256=read.sha256), work)


async def _read(request: Request, file: TestFile, tests: BinaryIO, references: References) -> _Read:
    """Receive the body and write its tests to `tests`."""
    try:
        with TemporaryFile() as body:
            sha256 = await _receive(request, body)
            return _Read(count=await run_in_threadpool(file.check, body, tests, references), sha256=sha256)
    except OSError as error:
        logger.error("import_not_kept", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it all
        raise ImportsFull("The server has no room for the file at the moment; try again later.") from error


def _format(request: Request) -> Format:
    declared = request.headers.get("content-type", "")
    found = _FORMATS.get(declared.lower().partition(";")[0].strip())
    if found is None:
        raise UnsupportedMediaType(
            'The body must be JSONL, sent with "Content-Type: application/x-ndjson", or CSV, sent with "text/csv"; '
            f"this one was sent as {declared[:100]!r}."
        )
    return found


async def _receive(request: Request, body: BinaryIO) -> str:
    """Write the body to the file; the digest tells it from others."""
    waiting, digest = bytearray(), hashlib.sha256()

    def keep(part: bytes) -> None:
        digest.update(part)
        body.write(part)

    async for chunk in request.stream():
        waiting += chunk
        if len(waiting) >= BATCH_BYTES:
            await run_in_threadpool(keep, bytes(waiting))
            waiting.clear()
    await run_in_threadpool(keep, bytes(waiting))
    return digest.hexdigest()


async def _check(services: Services, caller: Caller, references: References) -> None:
    async with tenant_transaction(services.engine, caller) as connection:
        await references.check(connection, caller)


async def _store(
    connection: AsyncConnection, caller: Caller, key: UUID, tests: BinaryIO, *, count: int, most: int, mode: str
) -> Imported:
    stored = await test_sets.lock(connection, caller, key)
    if mode == "replace":
        await stored.archive_all()
    await _append(stored, tests, count, most)
    await stored.count_change()
    return Imported(test_set=await test_sets.read(connection, caller, key), imported=count)


async def _append(stored: StoredTests, tests: BinaryIO, count: int, most: int) -> None:
    end = await stored.end()
    check_room(end.tests, count, most)
    position = end.position
    while batch := await run_in_threadpool(tests.readlines, BATCH_BYTES):
        await stored.append_json(batch, position)
        position += len(batch)
