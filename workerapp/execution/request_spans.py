"""The spans of the requests to one endpoint, and whether those requests tell of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from yarl import URL

from workerapp.contract.specs import EndpointSpec
from workerapp.execution.exchange import Question
from workerapp.tracing.request import describe_url, names_a_trace
from workerapp.tracing.span import Kind, Span, current, part


class RequestSpans:
    """Begun in the trace of whoever asks; an endpoint that has headers of its own for that is sent those."""

    def __init__(self, spec: EndpointSpec, clean: Callable[[str], str]) -> None:
        self._method = spec.method
        self._place = describe_url(spec.method, URL(spec.url), clean)
        self._is_in_another_trace = names_a_trace((*spec.headers, *spec.templated_headers))

    def begin(self, question: Question, attempt: int) -> AbstractContextManager[Span]:
        """The span of one request, as long as the block takes; of thousands that nobody records none costs anything."""
        within = current.get()
        if not within.has_parts:
            return nullcontext(within)
        again = {} if attempt == 1 else {"http.request.resend_count": attempt - 1}
        return part(Kind.CLIENT, self._method, {**self._place, "gateway.test_id": str(question.test_id), **again})

    def headers(self, span: Span) -> dict[str, str]:
        """What makes the request a part of the span."""
        return {} if self._is_in_another_trace else span.request_headers
