"""What waits in the hub, counted when somebody asks and not before: it costs the deliveries nothing."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.stream.hub import Hub
from gateway.stream.settings import StreamSettings


class HubCollector(Collector):
    """Walks over all subscriptions, so it is to be called in the hub's event loop."""

    def __init__(self, hub: Hub, settings: StreamSettings) -> None:
        self._hub = hub
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        """The subscriptions, how many there may be, and the events that wait in them."""
        queued = [subscription.queued for subscription in self._hub]
        organizations = sum(subscription.topic[1] is None for subscription in self._hub)
        open_ = GaugeMetricFamily("gateway_subscriptions", "Whom the hub delivers to.", labels=["kind"])
        open_.add_metric(["subject"], len(queued) - organizations)
        open_.add_metric(["organization"], organizations)
        yield open_
        yield GaugeMetricFamily("gateway_subscriptions_limit", "How many there may be.", self._settings.max_streams)
        yield GaugeMetricFamily("gateway_queued_events", "Events that wait in all subscriptions.", sum(queued))
        yield GaugeMetricFamily(
            "gateway_queued_events_max", "Events that wait in the fullest subscription.", max(queued, default=0)
        )
        yield GaugeMetricFamily(
            "gateway_queued_events_limit",
            "Events that may wait in one subscription before it lags.",
            self._settings.queue_events,
        )
