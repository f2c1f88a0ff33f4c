"""`…/events`: the streams of one task and of one run."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.api import tasks, test_runs
from gateway.api.answers import In
from gateway.api.faults import invalid_parameter
from gateway.api.paging import not_found, path_text, path_uuid, read_query
from gateway.api.routing import Answer
from gateway.auth.authenticate_stream import StreamCaller
from gateway.middleware import Detached
from gateway.services import Services, services_of
from gateway.stream.cursor import CursorInvalid, parse_cursor
from gateway.stream.follow import Representation, SubjectFeed
from gateway.stream.sse import EventStream
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.caller import Caller
from workerapp.db.statements import clause
from workerapp.db.tenant import tenant_transaction

LAST_EVENT_ID = "last-event-id"


class StreamQuery(In):
    """Where the client was, and who it is, if it cannot send headers."""

    after: str | None = None
    #: Was read already, when the watcher was authenticated.
    token: str | None = None


async def stream_task_events(request: Request, watcher: StreamCaller) -> Answer:
    subject = Subject(SubjectKind.TASK, path_text(request, "task_id", tasks.WHAT))
    return await _stream(request, watcher, subject, tasks.WHAT)


async def stream_test_run_events(request: Request, watcher: StreamCaller) -> Answer:
    subject = Subject(SubjectKind.TEST_RUN, str(path_uuid(request, "test_run_id", test_runs.WHAT)))
    return await _stream(request, watcher, subject, test_runs.WHAT)


async def _stream(request: Request, watcher: StreamCaller, subject: Subject, what: str) -> Answer:
    services, caller = services_of(request), watcher.caller
    after = _read_cursor(request)

    async def read() -> Representation | None:
        return await _read_subject(services, caller, subject)

    now = await read() if watcher.may_watch(subject) else None
    if now is None:
        raise not_found(what, subject.id)
    if now.ends_at(after):
        return Response(status_code=204)
    feed = SubjectFeed(
        hub=services.hub,
        log=services.log,
        caller=caller,
        subject_id=subject.id,
        read=read,
        after=after,
        settings=services.settings.stream,
    )
    return Detached(EventStream(feed, services.settings.stream))


async def _read_subject(services: Services, caller: Caller, subject: Subject) -> Representation | None:
    parameters = {"id": subject.id, "organization_id": caller.organization_id}
    async with tenant_transaction(services.engine, caller) as connection:
        row = (await connection.execute(clause("subjects", subject.kind), parameters)).mappings().one_or_none()
    return None if row is None else Representation(**row)


def _read_cursor(request: Request) -> int | None:
    query = read_query(request, StreamQuery)
    last_event_id = request.headers.get(LAST_EVENT_ID)
    try:
        return parse_cursor(last_event_id, query.after)
    except CursorInvalid as error:
        raise invalid_parameter("Last-Event-ID" if last_event_id else "after", str(error)) from None
