"""`…/events`: the streams of one task, one run and one group of runs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In
from gateway.api.faults import invalid_parameter
from gateway.api.feeds import WHAT, open_subject
from gateway.api.paging import path_text, path_uuid, read_query
from gateway.api.routing import Answer
from gateway.auth.authenticate_stream import StreamCaller
from gateway.middleware import Detached
from gateway.services import services_of
from gateway.stream.cursor import CursorInvalid, parse_cursor
from gateway.stream.sse import EventStream
from gateway.stream.subject import Subject, SubjectKind

LAST_EVENT_ID = "last-event-id"


class StreamQuery(In):
    """Where the client was, and who it is, if it cannot send headers."""

    after: str | None = None
    #: Was read already, when the watcher was authenticated.
    token: str | None = None


async def stream_task_events(request: Request, watcher: StreamCaller) -> Answer:
    kind = SubjectKind.TASK
    return await _stream(request, watcher, Subject(kind, path_text(request, "task_id", WHAT[kind])))


async def stream_test_run_events(request: Request, watcher: StreamCaller) -> Answer:
    kind = SubjectKind.TEST_RUN
    return await _stream(request, watcher, Subject(kind, str(path_uuid(request, "test_run_id", WHAT[kind]))))


async def stream_run_group_events(request: Request, watcher: StreamCaller) -> Answer:
    kind = SubjectKind.RUN_GROUP
    return await _stream(request, watcher, Subject(kind, str(path_uuid(request, "run_group_id", WHAT[kind]))))


async def _stream(request: Request, watcher: StreamCaller, subject: Subject) -> Answer:
    services = services_of(request)
    feed = await open_subject(services, watcher, subject, _read_cursor(request))
    if feed is None:
        return Response(status_code=204)
    return Detached(
        EventStream(feed, services.settings.stream, services.metrics.streams, watcher.holding(services.key_watch))
    )


def _read_cursor(request: Request) -> int | None:
    query = read_query(request, StreamQuery)
    last_event_id = request.headers.get(LAST_EVENT_ID)
    try:
        return parse_cursor(last_event_id, query.after)
    except CursorInvalid as error:
        raise invalid_parameter(str(error).partition(" ")[0], str(error)) from None
