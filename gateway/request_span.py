"""The span of a request: in the caller's trace, named by its route, and without anything that may be a secret."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

from gateway.metrics import HTTP_METHODS
from workerapp.contract.trace_context import TRACEPARENT_HEADER, TRACESTATE_HEADER, TraceContext, read_context
from workerapp.tracing.span import Kind, Span
from workerapp.tracing.traces import Traces

#: Asked all the time by machines, and no work of anybody's.
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})

_OTHER, _UNNAMED = "_OTHER", "HTTP"
_SERVER_ERROR = 500


class RequestSpan:
    """Begun when the request arrives; a WebSocket's is that of the request that opens it."""

    __slots__ = ("_has_ended", "_method", "_scope", "span")

    def __init__(self, scope: Scope, sent: Headers, traces: Traces) -> None:
        method = scope.get("method", "GET")
        self._method = method if method in HTTP_METHODS else _OTHER
        self._scope = scope
        self._has_ended = False
        self.span = self._begin(_parent(sent), traces)

    @property
    def trace_id(self) -> str | None:
        return None if self.span.context is None else self.span.context.trace_id

    def _begin(self, parent: TraceContext | None, traces: Traces) -> Span:
        if self._scope["path"] in UNTRACED:
            return Span(parent)
        known = {"http.request.method": self._method, "url.scheme": self._scope["scheme"]}
        return traces.begin(Kind.SERVER, self._named(), parent, known)

    def end(self, status: int, request_id: str) -> None:
        """Its route, status and tenant are known by now. What has ended stays as it is."""
        # Of what nobody records nothing need be told.
        if self._has_ended or not self.span.has_parts:
            return
        self._has_ended = True
        span, route = self.span, getattr(self._scope.get("route"), "path", None)
        if route is not None:
            # A path that is none of ours is anything at all; one that is has ids in it, and no more.
            span.rename(f"{self._named()} {route}")
            span.tell({"http.route": route, "url.path": self._scope["path"]})
        organization_id = self._scope.get("state", {}).get("organization_id")
        if organization_id is not None:
            span.tell({"gateway.organization_id": str(organization_id)})
        span.tell({"http.response.status_code": status, "gateway.request_id": request_id})
        if status >= _SERVER_ERROR:
            span.fail(str(status))
        span.end()

    def _named(self) -> str:
        return _UNNAMED if self._method == _OTHER else self._method


def _parent(sent: Headers) -> TraceContext | None:
    """The caller's; a header that is sent twice is none."""
    given = sent.getlist(TRACEPARENT_HEADER)
    return read_context(given[0], ",".join(sent.getlist(TRACESTATE_HEADER))) if len(given) == 1 else None
