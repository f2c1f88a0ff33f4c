"""`GET /v1/test-sets/{test_set_id}/export`: all tests of a set as a file, page by page in transactions of their own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.api.answers import In
from gateway.api.paging import path_uuid, read_query
from gateway.api.test_sets import DEFINITION
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.db.statements import clause
from workerapp.db.tenant import tenant_transaction

#: A page has as many tests as this, and ends with the one that fills so many bytes.
PAGE_TESTS, PAGE_BYTES = 500, 1024 * 1024
COLUMNS = ("input", "input_json", "expected", "expected_json", "tags", "metadata", "assertions", "turns")


class SetChanged(Exception):
    """The set has another version than the one that is being exported; the answer breaks off."""


class ExportQuery(In):
    """In which form, and which tests."""

    format: Literal["jsonl", "csv"] = "jsonl"
    tag: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """Tests in their order, each as JSON, and what they are tests of."""

    version: int
    lines: Sequence[str]
    end: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """How tests are written."""

    media_type: str
    head: str
    text: Callable[[Sequence[str]], str]


async def export_tests(request: Request, caller: Caller) -> Response:
    """Streams the file; a set that changes meanwhile breaks the answer off, which has no end then."""
    key = path_uuid(request, DEFINITION.path_name, DEFINITION.what)
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        await DEFINITION.check(connection, caller, key)
    query = read_query(request, ExportQuery)
    form = _FORMS[query.format]
    headers = {"Content-Disposition": f'attachment; filename="test-set-{key}.{query.format}"'}
    # A browser is not to make anything else of what tenants have written.
    headers["X-Content-Type-Options"] = "nosniff"
    return StreamingResponse(_write(request, caller, key, query.tag, form), 200, headers, form.media_type)


async def _write(request: Request, caller: Caller, key: UUID, tag: str | None, form: _Form) -> AsyncIterator[str]:
    if form.head:
        yield form.head
    page = await _read(request, caller, key, tag, after=-1)
    version = page.version
    while page.end is not None:
        yield form.text(page.lines)
        page = await _read(request, caller, key, tag, after=page.end)
        if page.version != version:
            raise SetChanged(f"The test set {key} changed while it was exported.")


async def _read(request: Request, caller: Caller, key: UUID, tag: str | None, *, after: int) -> _Page:
    where = {"organization": caller.organization_id, "test_set": key, "tag": tag, "after": after}
    size = {"tests": PAGE_TESTS, "bytes": PAGE_BYTES}
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        rows = (await connection.execute(clause("test_sets", "page"), where | size)).all()
    end = rows[-1].position
    return _Page(version=rows[0].version, lines=[] if end is None else [row.line for row in rows], end=end)


def _json_lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _rows(lines: Sequence[str]) -> str:
    return _table([_cells(json.loads(line)) for line in lines])


def _table(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _cells(test: dict[str, Any]) -> list[str]:
    """The cells of a test; the column of texts has none that is empty, since an empty cell says nothing."""
    return [
        *_text_or_json(test["input"]),
        *_text_or_json(test["expected"]),
        ",".join(test["tags"]),
        _dump(test["metadata"]) if test["metadata"] else "",
        _dump(test["assertions"]) if test["assertions"] else "",
        _dump(test["turns"]) if test["turns"] else "",
    ]


def _text_or_json(value: Any) -> tuple[str, str]:
    if isinstance(value, str) and value:
        return value, ""
    return "", "" if value is None else _dump(value)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_FORMS = {
    "jsonl": _Form(media_type="application/x-ndjson", head="", text=_json_lines),
    "csv": _Form(media_type="text/csv", head=_table([COLUMNS]), text=_rows),
}
