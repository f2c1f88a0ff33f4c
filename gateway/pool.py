"""The pool of connections to the database, watched: how many are in use, and how long requests wait for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry


def timed_pool(observe: Callable[[float], None]) -> type[AsyncAdaptedQueuePool]:
    """A kind of pool that tells for how many seconds each connection was waited for, or until there was none."""

    class TimedPool(AsyncAdaptedQueuePool):
        def _do_get(self) -> ConnectionPoolEntry:
            began = monotonic()
            try:
                return super()._do_get()
            finally:
                observe(monotonic() - began)

    return TimedPool


class PoolCollector(Collector):
    """Looks at the pool when somebody asks; before there is one it has nothing to tell."""

    def __init__(self) -> None:
        self._pool: AsyncAdaptedQueuePool | None = None
        self._limit: int | None = None

    def watch(self, engine: AsyncEngine, limit: int) -> None:
        """Tell of this one from now on."""
        assert isinstance(engine.pool, AsyncAdaptedQueuePool)
        self._pool, self._limit = engine.pool, limit

    def collect(self) -> Iterator[Metric]:
        """Connections in use and idle, and how many there may be."""
        connections = GaugeMetricFamily(
            "gateway_database_pool_connections", "Connections of requests.", labels=["state"]
        )
        if self._pool is not None:
            connections.add_metric(["in_use"], self._pool.checkedout())
            connections.add_metric(["idle"], self._pool.checkedin())
        yield connections
        yield GaugeMetricFamily("gateway_database_pool_limit", "How many there may be.", self._limit)
