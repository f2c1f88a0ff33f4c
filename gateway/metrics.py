"""What one application tells Prometheus of itself. No label is a tenant's, and none is a caller's to choose."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import Scope

from gateway.pool import PoolCollector
from gateway.quotas.refusals import Limit
from gateway.stream.hub import Hub, Room
from gateway.stream.hub_collector import HubCollector
from gateway.stream.metrics import StreamMetrics
from gateway.stream.settings import StreamSettings
from gateway.submission.metrics import SubmissionMetrics

_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WAIT_BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5)
_WEBSOCKET = "WEBSOCKET"
#: Those that a request here may have; any other is not named.
HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_METHODS = HTTP_METHODS | {_WEBSOCKET}
_OTHER = "other"


class Metrics:
    """Made once for each application, with a registry of its own: several in one process do not meet."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        self.streams = StreamMetrics(self._registry)
        self._requests = Histogram(
            "gateway_http_request_duration_seconds",
            "From the arrival of a request until its answer began.",
            ["route", "method", "status"],
            buckets=_DURATION_BUCKETS,
            registry=self._registry,
        )
        self._refused = Counter(
            "gateway_streams_refused", "Streams refused for want of room.", ["reason"], registry=self._registry
        )
        for room in set(Room) - {Room.FREE}:
            self._refused.labels(room)
        self.submissions = SubmissionMetrics(self._registry)
        self.pool = PoolCollector()
        self._registry.register(self.pool)
        self.pool_waits = Histogram(
            "gateway_database_pool_wait_seconds",
            "From asking for a connection of the pool until there was one, or none.",
            buckets=_WAIT_BUCKETS,
            registry=self._registry,
        )
        self._reached = Counter(
            "gateway_limits_reached", "Requests refused by a limit.", ["limit"], registry=self._registry
        )
        for limit in Limit:
            self._reached.labels(limit)
        build = Gauge("gateway_build_info", "1, with the version.", ["version"], registry=self._registry)
        build.labels(version).set(1)
        ProcessCollector(registry=self._registry)

    def watch(self, hub: Hub, settings: StreamSettings) -> None:
        """Tell of what waits in the hub, too."""
        self._registry.register(HubCollector(hub, settings))

    def refuse(self, room: Room) -> None:
        """Count a stream that was not opened."""
        self._refused.labels(room).inc()

    def reach(self, limit: Limit) -> None:
        """Count a request that was refused by a limit."""
        self._reached.labels(limit).inc()

    def answer(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request by its route as it is written in the document, not by its path."""
        route = getattr(scope.get("route"), "path", _OTHER)
        method = scope.get("method", _WEBSOCKET)
        self._requests.labels(route, method if method in _METHODS else _OTHER, status).observe(seconds)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format 0.0.4; to be called in the hub's event loop."""
        return generate_latest(self._registry)
