"""An exporter that says once that the collector is away, and once that it is back."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

#: The parent of the library's own loggers, which tell each attempt that failed and each span that found no room.
LIBRARY = "opentelemetry"


class PatientExporter(SpanExporter):
    """Around the one that sends."""

    def __init__(self, sending: SpanExporter) -> None:
        self._sending = sending
        self._is_failing = False
        logging.getLogger(LIBRARY).setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them, or let them go."""
        result = self._sending.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing and not self._is_failing:
            logger.warning("traces_not_exported", extra={"spans": len(spans)})
        elif self._is_failing and not is_failing:
            logger.info("traces_exported_again")
        self._is_failing = is_failing
        return result

    def shutdown(self) -> None:
        self._sending.shutdown()
