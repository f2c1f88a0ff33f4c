"""The span of an attempt to deliver: in the trace of the run that it tells of, or else in one of its own."""

from __future__ import annotations

from yarl import URL

from workerapp.contract.trace_context import read_context
from workerapp.tracing.request import describe_host
from workerapp.tracing.span import Attributes, Kind, Span
from workerapp.tracing.traces import Traces
from workerapp.webhooks.attempt import Claim

_METHOD = "POST"


def begin_delivery(traces: Traces, claim: Claim) -> Span:
    """Of the URL only the host is told: the rest may be a secret."""
    about: Attributes = {
        **describe_host(_METHOD, URL(claim.url)),
        "gateway.organization_id": str(claim.organization_id),
        "gateway.webhook_endpoint_id": str(claim.webhook_endpoint_id),
        "gateway.webhook_delivery_id": str(claim.id),
        "gateway.event_type": claim.event_type,
        "http.request.resend_count": claim.attempt - 1,
    }
    return traces.begin(Kind.CLIENT, _METHOD, read_context(claim.traceparent), about)
