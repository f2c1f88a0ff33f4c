"""Routes: one for each path, with an operation for each method and the scope it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.auth.authenticate import authenticate, bearer_of, require
from gateway.auth.authenticate_stream import StreamCaller, authenticate_stream
from gateway.auth.keys import Scope
from gateway.middleware import lower_body_limit
from gateway.services import services_of
from workerapp.contract.caller import Caller

#: An answer; a stream is an ASGI application of its own.
Answer: TypeAlias = Response | ASGIApp
Handler: TypeAlias = Callable[[Request, Caller], Awaitable[Answer]]
StreamHandler: TypeAlias = Callable[[Request, StreamCaller], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler, and the scope a caller's key needs for it."""

    scope: Scope
    handler: Handler

    async def __call__(self, request: Request) -> Answer:
        """Find out who is asking, and answer."""
        services = services_of(request)
        with services.failed_attempts.watch(request, bearer_of(request)):
            caller = await authenticate(request, services)
        request.state.organization_id = caller.organization_id
        plan = await services.request_limits.admit(request, caller)
        if plan.max_body_bytes is not None:
            lower_body_limit(request.scope, plan.max_body_bytes)
        require(caller, self.scope)
        return await self.handler(request, caller)


@dataclass(frozen=True, slots=True)
class StreamOperation:
    """A handler of a stream, which an API key with the scope `events:read` opens, or a stream token."""

    handler: StreamHandler

    async def __call__(self, request: Request) -> Answer:
        """Find out who is watching, and answer."""
        return await self.handler(request, await authenticate_stream(request, services_of(request)))


def reads(handler: Handler) -> Operation:
    return Operation(Scope.RUNS_READ, handler)


def writes(handler: Handler) -> Operation:
    return Operation(Scope.RUNS_WRITE, handler)


def submits(handler: Handler) -> Operation:
    return Operation(Scope.TASKS_SUBMIT, handler)


def watches(handler: Handler) -> Operation:
    return Operation(Scope.EVENTS_READ, handler)


def manages_keys(handler: Handler) -> Operation:
    return Operation(Scope.KEYS_MANAGE, handler)


def administers(handler: Handler) -> Operation:
    return Operation(Scope.ADMIN, handler)


def reads_stream(handler: StreamHandler) -> StreamOperation:
    return StreamOperation(handler)


def resource(path: str, **operations: Operation | StreamOperation) -> Route:
    """The route of a path; operations are named by their methods in lower case."""

    async def endpoint(request: Request) -> Answer:
        method = "get" if request.method == "HEAD" else request.method.lower()
        return await operations[method](request)

    return Route(path, endpoint, methods=[method.upper() for method in operations])
