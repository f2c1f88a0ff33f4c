"""What the tail, the hub and the streams of one process count, for Prometheus; nothing here names a tenant."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from workerapp.contract.states import FINAL_RUN_STATUSES

#: Seconds from the write of an event to its publication: a poll's pause is 25 ms, an outage lasts minutes.
_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


_SETTLED = {f"test_run.{status}": status for status in FINAL_RUN_STATUSES}


class Protocol(StrEnum):
    """What carries a stream; each subscription of a WebSocket is a stream of its own."""

    SSE = "sse"
    WEBSOCKET = "websocket"


class Ending(StrEnum):
    """Why a stream ended."""

    TERMINAL = "terminal"  # its subject has ended, or is gone
    DISCONNECTED = "disconnected"  # the client left, or unsubscribed
    LAGGED = "lagged"  # the client was too slow for what happened
    STALLED = "stalled"  # the client took nothing for the send timeout
    MAX_AGE = "max_age"
    DRAINING = "draining"  # the process stops
    UNAUTHORIZED = "unauthorized"  # the key or the token that opened it is good no more
    INTERRUPTED = "interrupted"  # the database could not be read
    FAILED = "failed"  # an error of ours; the log has it


class StreamMetrics:
    """The metrics of one application. Whoever counts per event does so per page or burst: `inc` takes a lock."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        to = registry or CollectorRegistry()
        self.events_read = Counter("gateway_tail_events_read", "Events the tail has read.", registry=to)
        self.events_published = Counter(
            "gateway_tail_events_published", "Events the tail has read that somebody here had asked for.", registry=to
        )
        self._settled = Counter(
            "gateway_runs_settled", "Runs that have ended, as the tail has read it.", ["status"], registry=to
        )
        self.lag = Histogram(
            "gateway_tail_lag_seconds",
            "From the time an event bears to its publication; of each page that was read, the oldest event.",
            buckets=_LAG_BUCKETS,
            registry=to,
        )
        self.connected = Gauge("gateway_tail_connected", "Whether the tail has its connection.", registry=to)
        self.reconnects = Counter(
            "gateway_tail_reconnects", "Times the tail had to connect again, failed attempts included.", registry=to
        )
        self.last_read = Gauge(
            "gateway_tail_last_read_timestamp_seconds", "When the tail last read successfully; 0 if never.", registry=to
        )
        self.horizon_age = Gauge(
            "gateway_tail_horizon_age_seconds",
            "For how long the tail has seen the oldest transaction open that is open now.",
            registry=to,
        )
        self.horizon_transactions = Gauge(
            "gateway_tail_horizon_transactions",
            "Transactions begun since the oldest one that is open now, itself included.",
            registry=to,
        )
        self.deliveries = Counter(
            "gateway_stream_deliveries",
            "Events handed to subscriptions: one for each event and subscription.",
            registry=to,
        )
        self.websockets = Gauge("gateway_websockets_open", "Open WebSockets, whatever they carry.", registry=to)
        self._open = Gauge("gateway_streams_open", "Open streams.", ["protocol"], registry=to)
        self._ended = Counter("gateway_streams_ended", "Streams that ended.", ["protocol", "reason"], registry=to)
        self._show_zeros()

    def read(self, types: Iterable[str]) -> None:
        """Count the events of a page by what they tell."""
        for type_ in types:
            status = _SETTLED.get(type_)
            if status is not None:
                self._settled.labels(status).inc()

    def open_stream(self, protocol: Protocol) -> OpenStream:
        """Count a stream while the `with` block lasts, and then how it ended."""
        return OpenStream(self, protocol)

    def begin(self, protocol: Protocol) -> None:
        """Count a stream as open."""
        self._open.labels(protocol).inc()

    def end(self, protocol: Protocol, ending: Ending) -> None:
        """Count a stream as ended."""
        self._open.labels(protocol).dec()
        self._ended.labels(protocol, ending).inc()

    def _show_zeros(self) -> None:
        """A rate can be taken only from a series that was there before it moved."""
        for status in FINAL_RUN_STATUSES:
            self._settled.labels(status)
        for protocol in Protocol:
            self._open.labels(protocol)
            for ending in Ending:
                self._ended.labels(protocol, ending)


class OpenStream:
    """A stream that is counted; say how it ended before the block is left."""

    __slots__ = ("_metrics", "_protocol", "ending")

    def __init__(self, metrics: StreamMetrics, protocol: Protocol) -> None:
        self._metrics = metrics
        self._protocol = protocol
        self.ending = Ending.FAILED

    def __enter__(self) -> Self:
        self._metrics.begin(self._protocol)
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.end(self._protocol, self.ending)
