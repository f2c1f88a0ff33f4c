"""`/v1/ws`: the streams of one caller over one WebSocket."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from gateway.api.faults import invalid_parameter
from gateway.api.feeds import WHAT, open_organization, open_subject
from gateway.api.organization_events import FilterQuery, read_after, read_filter
from gateway.api.paging import read_id, read_parameters, read_uuid
from gateway.auth.authenticate_stream import SUBPROTOCOL, StreamCaller, authenticate_stream
from gateway.errors import ApiError, NotFound, as_api_error, problem
from gateway.middleware import request_id, trace_id
from gateway.services import Services
from gateway.stream.cursor import CursorInvalid, parse_cursor
from gateway.stream.feed import Feed
from gateway.stream.subject import Subject, SubjectKind
from gateway.stream.websocket import Conversation, Subscribe
from gateway.transport.refusals import UpgradeNeeded

ORGANIZATION = "/v1/events"
_COLLECTIONS = {
    "tasks": SubjectKind.TASK,
    "test-runs": SubjectKind.TEST_RUN,
    "run-groups": SubjectKind.RUN_GROUP,
}
_SUBJECT = re.compile(rf"/v1/({'|'.join(_COLLECTIONS)})/([^/]+)/events")


class SubscriptionQuery(FilterQuery):
    """What a subscription's path may ask for; where it begins stands beside it."""

    limit: None = None


async def converse(websocket: WebSocket) -> None:
    """Let the client in, and follow what it subscribes to."""
    services: Services = websocket.state.services
    try:
        watcher = await authenticate_stream(websocket, services)
    except Exception as error:
        answer = as_api_error(error)
        if answer is None:
            raise
        await websocket.send_denial_response(problem(answer, request_id.get(), trace_id.get()))
        return
    offered = SUBPROTOCOL in websocket.scope["subprotocols"]
    await websocket.accept(SUBPROTOCOL if offered else None)

    async def open_feed(message: Subscribe) -> Feed | None:
        return await _open_feed(websocket, services, watcher, message)

    settings, metrics = services.settings.stream, services.metrics.streams
    hold = watcher.holding(services.key_watch)
    await Conversation(websocket, open_feed, _describe, settings, metrics, hold=hold).run()


async def refuse_request(_: Request) -> Response:
    """Whoever asks without a handshake is told what is missing; the handshake is a request of another kind."""
    raise UpgradeNeeded(
        'This path takes the handshake of a WebSocket, with "Connection: Upgrade" and "Upgrade: websocket"; a proxy on'
        " the way may have dropped them. Without a WebSocket, GET /v1/events and links.events have the same streams."
    )


async def _open_feed(
    websocket: WebSocket, services: Services, watcher: StreamCaller, message: Subscribe
) -> Feed | None:
    await services.request_limits.admit(websocket, watcher.caller)
    address = urlsplit(message.to)
    query = read_parameters(QueryParams(address.query), SubscriptionQuery)
    if address.path == ORGANIZATION:
        return open_organization(services, watcher, read_after(message.after, "after"), read_filter(query))
    if address.query:
        raise invalid_parameter("to", "The stream of one subject takes no filters.")
    return await open_subject(services, watcher, _subject_at(address.path), _read_cursor(message.after))


def _subject_at(path: str) -> Subject:
    found = _SUBJECT.fullmatch(path)
    if found is None:
        raise NotFound(
            f'There is no stream at "{path[:200]}"; subscribe to {ORGANIZATION}, or to links.events of a submission.'
        )
    kind, text = _COLLECTIONS[found[1]], found[2]
    if kind is SubjectKind.TASK:
        return Subject(kind, read_id(text, WHAT[kind]))
    return Subject(kind, str(read_uuid(text, WHAT[kind])))


def _read_cursor(after: str | None) -> int | None:
    try:
        return parse_cursor(None, after)
    except CursorInvalid as error:
        raise invalid_parameter("after", str(error)) from None


def _describe(error: Exception) -> dict[str, Any] | None:
    answer: ApiError | None = as_api_error(error)
    if answer is None:
        return None
    described: dict[str, Any] = json.loads(bytes(problem(answer, request_id.get(), trace_id.get()).body))
    return described
