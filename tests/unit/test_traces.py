"""Traces: nothing of them where they are off, and what becomes of spans where they are on."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from tests.stack.collector import collecting
from tests.stack.process import ROOT
from workerapp.contract.trace_context import TraceContext
from workerapp.settings import SettingsInvalid, load_worker_settings
from workerapp.tracing.span import Kind, Span, current, part
from workerapp.tracing.traces import make_traces

URL = "postgresql://gateway:pw@db.example.com:5433/tests"
CALLER = TraceContext(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", flags=1, state="a=1")

NOTHING_IMPORTED = f"""
import sys
from gateway.app import create_app
from gateway.settings import load_gateway_settings
from workerapp.app import make_app
from workerapp.settings import load_worker_settings
create_app(load_gateway_settings(database_url="{URL}", _env_file=None))
make_app(load_worker_settings(database_url="{URL}", _env_file=None))
import workerapp.execution.target, workerapp.webhooks.sender
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
#: The parent's span waits in its queue when the child is made.
FORKED = """
import os, sys
from workerapp.tracing.span import Kind
from workerapp.tracing.traces import make_traces
traces = make_traces(sys.argv[1], 1.0, "forking")
traces.begin(Kind.CONSUMER, "of the parent", None).end()
child = os.fork()
if not child:
    traces.begin(Kind.CONSUMER, "of the child", None).end()
    traces.close()
    os._exit(0)
os.waitpid(child, 0)
traces.close()
"""


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


def test_where_they_are_off_nothing_of_opentelemetry_is_imported() -> None:
    assert run(NOTHING_IMPORTED) == "[]\n"


def test_where_they_are_off_the_callers_context_goes_to_workers_and_to_nobody_else() -> None:
    span = make_traces("", 1.0, "test").begin(Kind.SERVER, "GET", CALLER).child(Kind.CLIENT, "POST")
    assert span.message_headers == CALLER.headers()
    assert span.request_headers == {}


def test_a_start_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workerapp.db.settings.can_be_exported", lambda: False)
    with pytest.raises(SettingsInvalid, match=r"install task-status-gateway\[traces\]"):
        load_worker_settings(database_url=URL, traces_endpoint="http://collector:4318", _env_file=None)


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://user:secret@collector", "http://collector/?key=secret"])
def test_an_endpoint_is_an_address_without_secrets(endpoint: str) -> None:
    with pytest.raises(SettingsInvalid, match="GATEWAY_TRACES_ENDPOINT"):
        load_worker_settings(database_url=URL, traces_endpoint=endpoint, _env_file=None)


def test_a_trace_that_begins_here_is_recorded_as_often_as_the_ratio_says() -> None:
    traces = make_traces("http://127.0.0.1:9", 0.0, "test")
    span = traces.begin(Kind.SERVER, "GET", None)
    assert span.context is not None
    assert (span.context.is_sampled, span.has_parts) == (False, False)
    assert span.request_headers["traceparent"].endswith(f"{span.context.flags:02x}")
    assert traces.begin(Kind.SERVER, "GET", CALLER).has_parts
    traces.close()


def test_a_forked_child_sends_its_own_spans_and_none_of_its_parents() -> None:
    with collecting() as collector:
        run(FORKED, collector.url)
    assert sorted(span.name for span in collector.spans) == ["of the child", "of the parent"]


def test_a_part_that_breaks_off_fails_with_the_errors_name() -> None:
    with collecting() as collector:
        traces = make_traces(collector.url, 1.0, "test")
        token = current.set(traces.begin(Kind.SERVER, "GET", None))
        with pytest.raises(ZeroDivisionError), part(Kind.CLIENT, "POST"):
            raise ZeroDivisionError("secret detail")
        current.reset(token)
        traces.close()
    (span,) = collector.spans
    assert (span.failed, span.attributes) == (True, {"error.type": "ZeroDivisionError"})


def test_outside_of_everything_there_is_no_trace() -> None:
    assert (type(current.get()), current.get().context) == (Span, None)


def test_a_collector_that_is_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    exported = pytest.importorskip("workerapp.tracing.patient_exporter")
    results = pytest.importorskip("opentelemetry.sdk.trace.export").SpanExportResult
    answers = [results.FAILURE, results.FAILURE, results.SUCCESS, results.SUCCESS, results.FAILURE]

    class Sending:
        def export(self, _: object) -> object:
            return answers.pop(0)

    exporter = exported.PatientExporter(Sending())
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            exporter.export(())
    assert [record.message for record in caplog.records] == [
        "traces_not_exported",
        "traces_exported_again",
        "traces_not_exported",
    ]
