"""One measurement: events published to a connected crowd for some seconds, and what that cost the server."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.bench.streams.load import Crowd
from tests.bench.streams.process import Usage
from tests.bench.streams.subjects import Subject

#: Where no rate is given: pauses between single events, in seconds.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 0.8


@dataclass(frozen=True, kw_only=True)
class Case:
    """How many clients, and how many events a second; without a rate, single ones at random."""

    clients: int
    rate: float | None
    seconds: float

    def __str__(self) -> str:
        clients = "1 client" if self.clients == 1 else f"{self.clients:,} clients"
        return f"{clients}, " + ("single events" if self.rate is None else f"{self.rate:g} events/s")

    def moments(self) -> list[float]:
        """When to publish, in seconds from the beginning."""
        if self.rate is not None:
            return [number / self.rate for number in range(round(self.rate * self.seconds))]
        moments = [random.uniform(0, LONGEST_PAUSE)]
        while moments[-1] < self.seconds:
            moments.append(moments[-1] + random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))
        return moments


@dataclass(frozen=True, kw_only=True)
class Window:
    """What was measured; times in seconds."""

    expected: int
    deliveries: int
    #: Server processor time for each delivery.
    cpu: float
    #: The same for each piece that a client read: several events that come together are cheaper.
    cpu_per_read: float
    p50: float
    p99: float
    longest: float
    deliveries_per_second: float
    bytes_per_delivery: float
    reads_per_delivery: float
    writes_per_delivery: float
    #: Connections that the server closed, since they were opened.
    closed: int
    #: Share of one core that the load generator used.
    load_cpu: float


def measure(subject: Subject, crowd: Crowd, case: Case) -> Window:
    """Publish, and wait until all is delivered or nothing comes any more."""
    moments = case.moments()
    expected = len(moments) * subject.receivers(case.clients)
    crowd.expect(expected, moments[-1])
    before = Usage.of(subject.server)
    subject.publish(moments)
    received = crowd.received()
    after = Usage.of(subject.server)
    count = max(received.deliveries, 1)
    seconds = max(received.seconds, 1e-6)
    return Window(
        expected=expected,
        deliveries=received.deliveries,
        cpu=(after.cpu_seconds - before.cpu_seconds) / count,
        cpu_per_read=(after.cpu_seconds - before.cpu_seconds) / max(received.reads, 1),
        p50=received.p50,
        p99=received.p99,
        longest=received.longest,
        deliveries_per_second=received.deliveries / seconds,
        bytes_per_delivery=received.bytes / count,
        reads_per_delivery=received.reads / count,
        writes_per_delivery=(after.writes - before.writes) / count,
        closed=received.closed,
        load_cpu=received.load_cpu / seconds,
    )
