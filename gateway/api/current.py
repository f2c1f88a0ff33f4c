"""A task, run or group as it is, or as soon as it is what the caller waits for, unless the caller has it already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.answers import Out, answer
from gateway.api.conditions import NoneMatch, entity_tag, none_match
from gateway.api.preferences import preferred_wait
from gateway.api.routing import Answer
from gateway.auth.jwt_errors import JwtExpired
from gateway.errors import ApiError, KeyInvalid
from gateway.middleware import Detached
from gateway.services import services_of
from gateway.stream.hub import End, Room
from gateway.stream.waiting import wait_until
from workerapp.contract.caller import Caller

#: No cache keeps it: one that did would send `If-None-Match` by itself, and so turn a wait for the end into one for any
#: change.
_HEADERS = {"Cache-Control": "no-store", "Vary": "Prefer"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Current:
    """What is answered, and the number of its latest event."""

    body: Out
    seq: int
    is_terminal: bool


async def answer_current(
    request: Request, caller: Caller, subject_id: str, read: Callable[[], Awaitable[Current]]
) -> Answer:
    """The subject as `read` gives it, or 304; after the wait that the caller prefers."""
    services = services_of(request)
    known = none_match(request)
    seconds = preferred_wait(request, services.settings.wait_max_seconds)
    if seconds and services.room_for(caller.organization_id) is not Room.FREE:
        # A preference that cannot be met is no reason to refuse the request.
        seconds = None
    if not seconds:
        return _answer(await read(), known, seconds)

    def is_awaited(seq: int) -> bool:
        return known is not None and not known.knows(seq)

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        with (
            services.hub.subscribe(organization_id=caller.organization_id, subject_id=subject_id) as subscription,
            services.key_watch.hold(caller, subscription.refuse),
        ):
            current = await wait_until(is_awaited, read, subscription, receive, seconds)
            if subscription.end is End.UNAUTHORIZED:
                raise _refusal(caller)
        await _answer(current, known, seconds)(scope, receive, send)

    return Detached(wait)


def _refusal(caller: Caller) -> ApiError:
    if caller.key_id is None:
        return JwtExpired("The token expired while the request waited (exp); get a new one from its issuer.")
    return KeyInvalid("The API key has expired, or was revoked or changed, while the request waited.")


def _answer(current: Current, known: NoneMatch | None, seconds: int | None) -> Response:
    headers = _HEADERS | {"ETag": entity_tag(current.seq)}
    if seconds is not None:
        headers["Preference-Applied"] = f"wait={seconds}"
    if known is not None and known.knows(current.seq):
        return Response(status_code=304, headers=headers)
    return answer(current.body, headers=headers)
