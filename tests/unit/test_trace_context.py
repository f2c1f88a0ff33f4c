"""The headers of W3C Trace Context: what is of their form is carried on, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workerapp.contract.trace_context import TraceContext, read_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "sent",
    [
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_not_of_the_standards_form_is_no_trace(sent: str) -> None:
    assert read_context(sent, "vendor=1") is None


def test_a_later_version_may_have_more_behind_it_and_is_carried_on_as_this_one() -> None:
    context = read_context(f"cc-{TRACE}-{SPAN}-09-more")
    assert context == TraceContext(trace_id=TRACE, span_id=SPAN, flags=1)
    assert context.headers() == {"traceparent": f"00-{TRACE}-{SPAN}-01"}


@pytest.mark.parametrize("state", ["", "a=1\r\nX-Evil: 1", "ä=1", "x" * 513])
def test_a_state_that_cannot_be_carried_on_is_left_out(state: str) -> None:
    context = read_context(f"00-{TRACE}-{SPAN}-01", state)
    assert context is not None
    assert context.state == ""


@given(
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    flags=st.integers(0, 3),
    state=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=512),
)
def test_what_is_written_is_read_as_the_same(trace_id: int, span_id: int, flags: int, state: str) -> None:
    context = TraceContext(trace_id=f"{trace_id:032x}", span_id=f"{span_id:016x}", flags=flags, state=state)
    headers = context.headers()
    assert read_context(headers["traceparent"], headers.get("tracestate")) == context
    assert context.is_sampled == (flags in (1, 3))
