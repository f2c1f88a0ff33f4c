"""Routes: one for each path, with an operation for each method, the scope it needs, and what the audit log calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.api.deprecation import Deprecation
from gateway.audit import note_denial
from gateway.auth.authenticate import authenticate, bearer_of, require
from gateway.auth.authenticate_stream import StreamCaller, authenticate_stream
from gateway.auth.keys import Scope
from gateway.errors import ScopeMissing
from gateway.log_subjects import tell_log_of
from gateway.middleware import lower_body_limit
from gateway.services import services_of
from gateway.transport.answer_headers import DEPRECATION
from workerapp.contract.caller import Caller

#: An answer; a stream is an ASGI application of its own.
Answer: TypeAlias = Response | ASGIApp
Handler: TypeAlias = Callable[[Request, Caller], Awaitable[Answer]]
StreamHandler: TypeAlias = Callable[[Request, StreamCaller], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler, the scope a caller's key needs for it, if any, and the action of one that changes anything."""

    scope: Scope | None
    handler: Handler
    action: str | None = None
    deprecation: Deprecation | None = None

    async def __call__(self, request: Request) -> Answer:
        """Find out who is asking, and answer."""
        services = services_of(request)
        with services.failed_attempts.watch(request, bearer_of(request)):
            caller = await authenticate(request, services)
        request.state.organization_id, request.state.action = caller.organization_id, self.action
        tell_log_of(request, caller)
        plan = await services.request_limits.admit(request, caller)
        if plan.max_body_bytes is not None:
            lower_body_limit(request.scope, plan.max_body_bytes)
        try:
            if self.scope is not None:
                require(caller, self.scope)
        except ScopeMissing:
            if self.action is not None:
                await note_denial(services.engine, request, caller)
            raise
        return await self.handler(request, caller)


@dataclass(frozen=True, slots=True)
class StreamOperation:
    """A handler of a stream, which an API key with the scope `events:read` opens, or a stream token."""

    handler: StreamHandler
    deprecation: Deprecation | None = None

    async def __call__(self, request: Request) -> Answer:
        """Find out who is watching, and answer."""
        return await self.handler(request, await authenticate_stream(request, services_of(request)))


def identifies(handler: Handler) -> Operation:
    """What tells callers of themselves, whatever they may do."""
    return Operation(None, handler)


def reads(handler: Handler) -> Operation:
    return Operation(Scope.RUNS_READ, handler)


def writes(handler: Handler, action: str) -> Operation:
    return Operation(Scope.RUNS_WRITE, handler, action)


def submits(handler: Handler, action: str) -> Operation:
    return Operation(Scope.TASKS_SUBMIT, handler, action)


def watches(handler: Handler, action: str) -> Operation:
    return Operation(Scope.EVENTS_READ, handler, action)


def manages_keys(handler: Handler, action: str | None = None) -> Operation:
    return Operation(Scope.KEYS_MANAGE, handler, action)


def manages_webhooks(handler: Handler, action: str | None = None) -> Operation:
    return Operation(Scope.WEBHOOKS_MANAGE, handler, action)


def administers(handler: Handler, action: str | None = None) -> Operation:
    return Operation(Scope.ADMIN, handler, action)


def reads_stream(handler: StreamHandler) -> StreamOperation:
    return StreamOperation(handler)


_Deprecated = TypeVar("_Deprecated", Operation, StreamOperation)


def deprecated(operation: _Deprecated, deprecation: Deprecation) -> _Deprecated:
    """The same operation, whose answers tell that it will be gone."""
    return replace(operation, deprecation=deprecation)


class Resource(Route):
    """The route of a path; operations are named by their methods in lower case."""

    def __init__(self, path: str, operations: Mapping[str, Operation | StreamOperation]) -> None:
        super().__init__(path, self._answer, methods=[method.upper() for method in operations])
        self.operations = operations

    async def _answer(self, request: Request) -> Answer:
        method = "get" if request.method == "HEAD" else request.method.lower()
        operation = self.operations[method]
        if operation.deprecation is not None:
            setattr(request.state, DEPRECATION, operation.deprecation.headers)
        return await operation(request)


def resource(path: str, **operations: Operation | StreamOperation) -> Resource:
    """The route of a path.

    Raises:
        ValueError: an operation that changes something has no action for the audit log, or one that only reads has.
    """
    for method, operation in operations.items():
        action = operation.action if isinstance(operation, Operation) else None
        if (method == "get") != (action is None):
            raise ValueError(
                f"{method} {path}: every operation has an action for the audit log, but those that only read"
            )
    return Resource(path, operations)
