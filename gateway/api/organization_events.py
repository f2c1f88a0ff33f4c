"""`/v1/events`: what happens in the caller's organization, as a stream or for those who ask again and again."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.events import LAST_EVENT_ID
from gateway.api.faults import invalid_parameter
from gateway.api.feeds import open_organization
from gateway.api.paging import LimitQuery, page_limit, read_query
from gateway.api.routing import Answer
from gateway.auth.authenticate_stream import StreamCaller
from gateway.errors import CursorExpired
from gateway.middleware import Detached
from gateway.services import Services, services_of
from gateway.stream.cursor import CursorInvalid
from gateway.stream.event_filter import EventFilter, TypeUnknown, types_of
from gateway.stream.event_log import After, OrganizationPage, Start
from gateway.stream.organization_cursor import decode_position, encode_position
from gateway.stream.sse import EventStream
from workerapp.contract.caller import Caller

EVENT_STREAM = "text/event-stream"
EARLIEST = Start.EARLIEST.value
MOST_VALUES = 50

_Values: TypeAlias = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=MOST_VALUES)
]


class FilterQuery(LimitQuery):
    """Which events; a parameter that is given several times lets each of its values pass."""

    types: _Values = ()
    task_name: _Values = ()
    test_run_id: _Values = ()
    status: _Values = ()


class EventsQuery(FilterQuery):
    """Where the client was, which events it wants, and who it is, if it cannot send headers."""

    after: str | None = None
    #: Was read already, when the watcher was authenticated.
    token: str | None = None


async def get_events(request: Request, watcher: StreamCaller) -> Answer:
    query = read_query(request, EventsQuery)
    if EVENT_STREAM in request.headers.get("accept", ""):
        return _stream_events(request, watcher, query)
    return await _list_events(services_of(request), watcher.of_organization(), query)


def _stream_events(request: Request, watcher: StreamCaller, query: EventsQuery) -> Answer:
    services, last_event_id = services_of(request), request.headers.get(LAST_EVENT_ID)
    name = "Last-Event-ID" if last_event_id else "after"
    after = read_after(last_event_id or query.after, name)
    feed = open_organization(services, watcher, after, read_filter(query))
    return Detached(
        EventStream(feed, services.settings.stream, services.metrics.streams, watcher.holding(services.key_watch))
    )


async def _list_events(services: Services, caller: Caller, query: EventsQuery) -> Answer:
    page = await services.log.organization_page(
        caller,
        read_after(query.after, "after"),
        most=page_limit(query, services.settings),
        only=read_filter(query),
        scan=services.settings.max_events_scanned,
    )
    if page.is_reset:
        raise CursorExpired(
            "The events after this cursor are no longer all there: they were removed by age, or the database was "
            f"restored. Read what you need anew, then go on without after (from now) or with after={EARLIEST}."
        )
    return _answer(page)


def read_after(text: str | None, name: str) -> After:
    """Where to read on; `name` is the parameter or header that says so.

    Raises:
        ValidationFailed: we never gave such a cursor.
    """
    if not text:
        return Start.NOW
    if text == EARLIEST:
        return Start.EARLIEST
    try:
        return decode_position(text)
    except CursorInvalid as error:
        raise invalid_parameter(name, str(error)) from None


def read_filter(query: FilterQuery) -> EventFilter:
    """Which events the caller wants.

    Raises:
        ValidationFailed: there is no such type; the answer lists those there are.
    """
    try:
        types = types_of(query.types)
    except TypeUnknown as error:
        raise invalid_parameter("types", str(error)) from None
    return EventFilter(
        types=types,
        task_names=frozenset(query.task_name),
        test_run_ids=frozenset(query.test_run_id),
        statuses=frozenset(query.status),
    )


def _answer(page: OrganizationPage) -> Response:
    """The events are JSON already."""
    items = b",".join(event.body for event in page.events)
    cursor, has_more = encode_position(page.position).encode(), b"true" if page.has_more else b"false"
    body = b'{"items":[%b],"cursor":"%b","has_more":%b}' % (items, cursor, has_more)
    return Response(body, headers={"Vary": "Accept"}, media_type="application/json")
