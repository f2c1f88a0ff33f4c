"""Spans that OpenTelemetry records."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from workerapp.contract.trace_context import TraceContext
from workerapp.tracing.span import NO_ATTRIBUTES, Attributes, Kind, Span

_KINDS = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.PRODUCER: SpanKind.PRODUCER,
    Kind.CONSUMER: SpanKind.CONSUMER,
}
#: Contexts are always named: none is taken from, or left in, OpenTelemetry's own current one.
_EMPTY = Context()


class UnsampledSpan(Span):
    """One of a trace that is not recorded: others are told so, and it costs nothing more."""

    __slots__ = ()

    @property
    def request_headers(self) -> dict[str, str]:
        return self.message_headers


class RecordedSpan(Span):
    """One that is sent to a collector when it has ended."""

    __slots__ = ("_span", "_tracer")

    has_parts = True

    def __init__(self, span: trace.Span, tracer: trace.Tracer) -> None:
        super().__init__(_told(span.get_span_context()))
        self._span, self._tracer = span, tracer

    def child(self, kind: Kind, name: str, attributes: Attributes = NO_ATTRIBUTES) -> Span:
        within = trace.set_span_in_context(self._span, _EMPTY)
        span = self._tracer.start_span(name, within, _KINDS[kind], attributes)
        return RecordedSpan(span, self._tracer)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self._span.end()

    @property
    def request_headers(self) -> dict[str, str]:
        return self.message_headers


def begin_span(
    tracer: trace.Tracer, kind: Kind, name: str, parent: TraceContext | None, attributes: Attributes
) -> Span:
    """A span whose parent, if it has one, is in another process."""
    within = _EMPTY if parent is None else trace.set_span_in_context(NonRecordingSpan(_read(parent)), _EMPTY)
    span = tracer.start_span(name, within, _KINDS[kind], attributes)
    return RecordedSpan(span, tracer) if span.is_recording() else UnsampledSpan(_told(span.get_span_context()))


def _read(context: TraceContext) -> SpanContext:
    return SpanContext(
        trace_id=int(context.trace_id, 16),
        span_id=int(context.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(context.flags),
        trace_state=TraceState.from_header([context.state]) if context.state else TraceState(),
    )


def _told(context: SpanContext) -> TraceContext:
    return TraceContext(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        flags=context.trace_flags,
        state=context.trace_state.to_header(),
    )
