"""What a worker counts of the messages that it passes on to RabbitMQ or Redis."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10)


class RelayMetrics:
    """Made once for each app; with Postgres as the broker nothing is passed on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter("gateway_relay_messages", "Messages that the broker has confirmed.", registry=registry)
        self.again = Counter(
            "gateway_relay_messages_again", "Those of them that it had lost before.", registry=registry
        )
        self.interruptions = Counter(
            "gateway_relay_interruptions", "Times that passing on was broken off by an error.", registry=registry
        )
        self.batches = Histogram(
            "gateway_relay_batch_duration_seconds",
            "From taking a batch of messages until the broker had all of it.",
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
