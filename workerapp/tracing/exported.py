"""Traces that are sent to a collector, over OTLP and HTTP, by a thread of each process.

A collector that is away costs the spans that do not fit into the queue, and nobody's time.
"""

from __future__ import annotations

import os
from threading import Lock, Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer

from workerapp.contract.distribution import DISTRIBUTION, installed_version
from workerapp.contract.trace_context import TraceContext
from workerapp.tracing.patient_exporter import PatientExporter
from workerapp.tracing.recorded import begin_span
from workerapp.tracing.span import NO_ATTRIBUTES, Attributes, Kind, Span
from workerapp.tracing.traces import FAREWELL_SECONDS, Traces

_PATH = "/v1/traces"
#: What waits to be sent; more is forgotten.
QUEUE_SPANS = 4096
BATCH_SPANS, BATCH_SECONDS = 512, 1.0
EXPORT_SECONDS = 10.0
#: A path may be as long as a caller likes.
LONGEST_VALUE = 500


class ExportedTraces(Traces):
    """One for each application or worker; each process that uses it gets a queue and a thread of its own."""

    def __init__(self, endpoint: str, ratio: float, service: str) -> None:
        self._url = endpoint.rstrip("/").removesuffix(_PATH) + _PATH
        self._ratio, self._service = ratio, service
        self._lock = Lock()
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._queue: _Queue | None = None
        os.register_at_fork(after_in_child=self._forget)

    def begin(self, kind: Kind, name: str, parent: TraceContext | None, attributes: Attributes = NO_ATTRIBUTES) -> Span:
        return begin_span(self._tracer or self._open(), kind, name, parent, attributes)

    def close(self) -> None:
        with self._lock:
            provider, self._provider, self._tracer = self._provider, None, None
        if provider is not None:
            closing = Thread(target=provider.shutdown, name="traces-farewell", daemon=True)
            closing.start()
            closing.join(FAREWELL_SECONDS)

    def _open(self) -> Tracer:
        with self._lock:
            if self._tracer is None:
                self._provider = self._make_provider()
                self._tracer = self._provider.get_tracer(DISTRIBUTION, installed_version())
            return self._tracer

    def _make_provider(self) -> TracerProvider:
        resource = Resource.create(
            {"service.name": self._service, "service.version": installed_version(), "process.pid": os.getpid()}
        )
        sampler = ParentBased(TraceIdRatioBased(self._ratio))
        limits = SpanLimits(max_attribute_length=LONGEST_VALUE)
        provider = TracerProvider(sampler=sampler, resource=resource, span_limits=limits, shutdown_on_exit=False)
        exporter = PatientExporter(OTLPSpanExporter(self._url, timeout=EXPORT_SECONDS))
        self._queue = _Queue(exporter)
        provider.add_span_processor(self._queue)
        return provider

    def _forget(self) -> None:
        """A forked child has neither the thread nor a right to the connection of its parent, and makes its own."""
        inherited, self._queue = self._queue, None
        self._lock, self._provider, self._tracer = Lock(), None, None
        if inherited is not None:
            inherited.abandon()


class _Queue(BatchSpanProcessor):
    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(
            exporter,
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=BATCH_SECONDS * 1000,
            max_export_batch_size=BATCH_SPANS,
        )

    def abandon(self) -> None:
        """Let the thread end that the library starts anew in a child; who held its locks may be missing there."""
        self._batch_processor._shutdown = True  # noqa: SLF001 - any way that is public takes a lock
