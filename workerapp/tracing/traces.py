"""Begins the spans of what arrives, such as requests and messages; nothing is recorded unless an operator wants it."""

from __future__ import annotations

from importlib.util import find_spec

from workerapp.contract.trace_context import TraceContext
from workerapp.tracing.span import NO_ATTRIBUTES, Attributes, Kind, Span

NOT_INSTALLED = (
    "GATEWAY_TRACES_ENDPOINT is set, and what exports traces is not installed: install task-status-gateway[traces], or"
    " leave the variable out."
)

#: How long a process that stops goes on sending.
FAREWELL_SECONDS = 3.0


class Traces:
    """Nothing is recorded; what came is carried on."""

    def begin(self, kind: Kind, name: str, parent: TraceContext | None, attributes: Attributes = NO_ATTRIBUTES) -> Span:
        """Begin a span, in the trace that its parent is in or else in one of its own."""
        return Span(parent)

    def close(self) -> None:
        """Send what has ended, if that takes a moment only."""


#: For what runs outside a gateway or a worker.
OFF = Traces()


def make_traces(endpoint: str, ratio: float, service: str) -> Traces:
    """Traces as the settings want them, of what calls itself `service`; nothing is imported where they are off."""
    if not endpoint:
        return OFF
    from workerapp.tracing.exported import ExportedTraces  # noqa: PLC0415 - an extra, which need not be installed

    return ExportedTraces(endpoint, ratio, service)


def can_be_exported() -> bool:
    """Whether the extra is installed."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:
        return False
