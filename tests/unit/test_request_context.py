"""What is around every request: its span, and the log lines that are written after it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Metrics
from gateway.middleware import RequestContext
from gateway.transport.answer_headers import AnswerHeaders
from gateway.transport.origins import Origins
from tests.stack.collector import CollectedSpan, collecting
from workerapp.contract.logs import JsonLines
from workerapp.tracing.traces import OFF, Traces, make_traces


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError("secret detail")


async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ZeroDivisionError


async def ask(app: ASGIApp, *, traces: Traces = OFF, path: str = "/v1/tasks", **scope: Any) -> None:
    async def receive() -> Message:
        raise AssertionError

    async def send(_: Message) -> None:
        pass

    layer = RequestContext(
        app, metrics=Metrics("1"), headers=AnswerHeaders(Origins.parse(()), hsts_seconds=0), traces=traces
    )
    headers = [(b"x-request-id", b"my-request")]
    asked = {"type": "http", "scheme": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    await layer(asked | scope, receive, send)


async def span_of(app: ASGIApp, **scope: Any) -> list[CollectedSpan]:
    with collecting() as collector:
        traces = make_traces(collector.url, 1.0, "test")
        await ask(app, traces=traces, **scope)
        traces.close()
    return collector.spans


async def test_what_the_server_logs_of_an_answer_that_broke_off_names_the_request() -> None:
    with pytest.raises(ZeroDivisionError):
        await ask(breaks_off)
    line = json.loads(JsonLines().format(logging.makeLogRecord({"msg": "Exception in ASGI application"})))
    assert (line["request_id"], line["trace_id"]) == ("my-request", "my-request")


async def test_a_fault_fails_its_span_which_tells_nothing_of_it() -> None:
    (span,) = await span_of(breaks, path="/v1/tasks/tsg_secret")
    assert (span.name, span.failed) == ("GET", True)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 500,
        "gateway.request_id": "my-request",
        "error.type": "500",
    }


async def test_a_method_that_there_is_not_has_no_name_of_its_own() -> None:
    (span,) = await span_of(breaks, method="x" * 10_000)
    assert (span.name, span.attributes["http.request.method"]) == ("HTTP", "_OTHER")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_what_machines_ask_all_the_time_is_in_no_trace(path: str) -> None:
    assert await span_of(breaks, path=path) == []
