"""Where in a trace something belongs: the two headers of W3C Trace Context, read and written."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Names of the headers, of requests and of messages.
TRACEPARENT_HEADER, TRACESTATE_HEADER = "traceparent", "tracestate"

#: Later versions may have more behind it. An id of zeros alone is none.
_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?"
)
#: What other tracing systems add, at the length that everybody has to carry on.
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")
_SAMPLED, _KNOWN_FLAGS = 0x01, 0x03


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceContext:
    """A trace, and the span in it that something is a part of."""

    trace_id: str
    span_id: str
    flags: int = 0
    #: What other tracing systems have to say to each other.
    state: str = ""

    @property
    def is_sampled(self) -> bool:
        """Whether whoever began it records the trace."""
        return bool(self.flags & _SAMPLED)

    def headers(self) -> dict[str, str]:
        """As it travels on."""
        headers = {TRACEPARENT_HEADER: f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"}
        return headers | {TRACESTATE_HEADER: self.state} if self.state else headers


def read_context(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """The context that came; none if the first header is not of the standard's form, whatever the other says."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    state = tracestate if tracestate and _TRACESTATE.fullmatch(tracestate) else ""
    flags = int(found["flags"], 16) & _KNOWN_FLAGS
    return TraceContext(trace_id=found["trace"], span_id=found["span"], flags=flags, state=state)
