"""What surrounds every execution of a task: its span in the trace, and what each log line within it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery import signals, states

from workerapp.contract.caller import ORGANIZATION_HEADER, REQUEST_HEADER, USER_HEADER
from workerapp.contract.logs import LogToken, begin_log_context, end_log_context
from workerapp.contract.tasks import RUN_GROUP_HEADER, TEST_RUN_HEADER
from workerapp.contract.trace_context import TRACEPARENT_HEADER, TRACESTATE_HEADER, TraceContext, read_context
from workerapp.tracing.span import Attributes, Kind, Span, current
from workerapp.tracing.traces import OFF, Traces

#: What a worker calls itself in traces.
SERVICE = "task-status-worker"
#: The attribute of a request that keeps what was begun for its execution.
ATTRIBUTE = "surroundings"

_ABOUT = (ORGANIZATION_HEADER, USER_HEADER, TEST_RUN_HEADER, RUN_GROUP_HEADER, REQUEST_HEADER)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Surroundings:
    span: Span
    span_before: Any
    log_before: LogToken


def surround_tasks() -> None:
    """Let every task of this process, whatever its base, be executed in a span and a log context of its own."""
    signals.task_prerun.connect(_begin, weak=False, dispatch_uid="workerapp.task_context")
    signals.task_postrun.connect(_end, weak=False, dispatch_uid="workerapp.task_context")


def carry_trace(headers: dict[str, Any], request: Any) -> None:
    """Make a message a part of what is executed; one that is sent again stays a part of what it was sent by."""
    if headers.get(TRACEPARENT_HEADER) is None:
        context = current.get().context or _context_of(request)
        headers.update({} if context is None else context.headers())


def _begin(task: Any = None, task_id: str = "", **_: Any) -> None:
    request = task.request
    traces: Traces = getattr(task.app, "traces", OFF)
    context = current.get().context if request.is_eager else _context_of(request)
    about = {name: _text(getattr(request, name, None)) for name in _ABOUT}
    span = traces.begin(Kind.CONSUMER, f"process {task.name}", context, _attributes(task, task_id, about))
    trace_id = about[REQUEST_HEADER] if span.context is None else span.context.trace_id
    begun = _Surroundings(
        span=span,
        span_before=current.set(span),
        log_before=begin_log_context(task=task.name, task_id=task_id, trace_id=trace_id, **about),
    )
    setattr(request, ATTRIBUTE, begun)


def _end(task: Any = None, state: str | None = None, retval: Any = None, **_: Any) -> None:
    begun: _Surroundings | None = getattr(task.request, ATTRIBUTE, None)
    if begun is None:
        return
    if state in states.EXCEPTION_STATES:
        # What makes a task try again is within what Celery says of that.
        begun.span.fail(type(getattr(retval, "exc", None) or retval).__name__)
    begun.span.tell({"gateway.task.state": state or "none"})
    begun.span.end()
    current.reset(begun.span_before)
    end_log_context(begun.log_before)


def _context_of(request: Any) -> TraceContext | None:
    """What came with the message, whoever has published it."""
    sent = (_text(getattr(request, name, None)) for name in (TRACEPARENT_HEADER, TRACESTATE_HEADER))
    return read_context(*sent)


def _attributes(task: Any, task_id: str, about: dict[str, str | None]) -> Attributes:
    named = {f"gateway.{name}": value for name, value in about.items() if value is not None and name != USER_HEADER}
    delivery = task.request.delivery_info or {}
    return {
        "messaging.system": "celery",
        "messaging.operation.type": "process",
        "messaging.destination.name": delivery.get("routing_key") or "",
        "messaging.message.id": task_id,
        "gateway.task": task.name,
        "gateway.task.retries": task.request.retries or 0,
        **named,
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
