"""`…/events`: the streams of one task and of one run."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.api import tasks, test_runs
from gateway.api.answers import In
from gateway.api.faults import invalid_parameter
from gateway.api.paging import not_found, path_text, path_uuid, read_query
from gateway.api.routing import Answer
from gateway.middleware import Detached
from gateway.services import Services, services_of
from gateway.stream.cursor import CursorInvalid, parse_cursor
from gateway.stream.follow import Representation, SubjectFeed
from gateway.stream.sse import EventStream
from workerapp.contract.caller import Caller
from workerapp.db.statements import clause
from workerapp.db.tenant import tenant_transaction

LAST_EVENT_ID = "last-event-id"


class StreamQuery(In):
    """Where the client was, if it cannot send a header."""

    after: str | None = None


async def stream_task_events(request: Request, caller: Caller) -> Answer:
    return await _stream(request, caller, "task", path_text(request, "task_id", tasks.WHAT), tasks.WHAT)


async def stream_test_run_events(request: Request, caller: Caller) -> Answer:
    run_id = str(path_uuid(request, "test_run_id", test_runs.WHAT))
    return await _stream(request, caller, "test_run", run_id, test_runs.WHAT)


async def _stream(request: Request, caller: Caller, kind: str, subject_id: str, what: str) -> Answer:
    services = services_of(request)
    after = _read_cursor(request)

    async def read() -> Representation | None:
        return await _read_subject(services, caller, kind, subject_id)

    now = await read()
    if now is None:
        raise not_found(what, subject_id)
    if now.ends_at(after):
        return Response(status_code=204)
    feed = SubjectFeed(
        hub=services.hub,
        log=services.log,
        caller=caller,
        subject_id=subject_id,
        read=read,
        after=after,
        settings=services.settings.stream,
    )
    return Detached(EventStream(feed, services.settings.stream))


async def _read_subject(services: Services, caller: Caller, kind: str, subject_id: str) -> Representation | None:
    parameters = {"id": subject_id, "organization_id": caller.organization_id}
    async with tenant_transaction(services.engine, caller) as connection:
        row = (await connection.execute(clause("subjects", kind), parameters)).mappings().one_or_none()
    return None if row is None else Representation(**row)


def _read_cursor(request: Request) -> int | None:
    query = read_query(request, StreamQuery)
    last_event_id = request.headers.get(LAST_EVENT_ID)
    try:
        return parse_cursor(last_event_id, query.after)
    except CursorInvalid as error:
        raise invalid_parameter("Last-Event-ID" if last_event_id else "after", str(error)) from None
