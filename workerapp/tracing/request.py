"""What the span of a request to others tells: where it goes and how it ends, and nothing that may be a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from yarl import URL

from workerapp.contract.trace_context import TRACEPARENT_HEADER
from workerapp.tracing.span import Attributes, Span

_CLIENT_ERROR = 400


def describe_host(method: str, url: URL) -> Attributes:
    """The host that is asked."""
    return {"http.request.method": method, "server.address": url.host or "", "server.port": url.port or 0}


def describe_url(method: str, url: URL, clean: Callable[[str], str]) -> Attributes:
    """The same with the path, as far as that is clean; neither a user nor a query."""
    shown = url.with_user(None).with_query(None).with_fragment(None)
    return {**describe_host(method, url), "url.full": clean(str(shown))}


def tell_answer(span: Span, status: int | None, reason: str | None = None) -> None:
    """With the status that came, if any did, and the reason why it is no good answer."""
    if status is not None:
        span.tell({"http.response.status_code": status})
        if status >= _CLIENT_ERROR:
            reason = str(status)
    if reason is not None:
        span.fail(reason)


def names_a_trace(headers: Iterable[str]) -> bool:
    """Whether a request is to be a part of another trace, which is its owner's to choose."""
    return any(name.lower() == TRACEPARENT_HEADER for name in headers)
