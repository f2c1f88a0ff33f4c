"""What is counted, under which names, and that no caller can make up a label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import Metrics
from gateway.routes import routes
from gateway.stream.hub import Hub
from gateway.stream.metrics import Ending, Protocol
from gateway.stream.settings import StreamSettings
from tests.integration.streams import publish
from tests.metric_names import exposed
from tests.unit.test_hub import event

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
SETTINGS = StreamSettings(queue_events=3, max_streams=7)
OURS = uuid4()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


@pytest.fixture
def hub(metrics: Metrics) -> Hub:
    hub = Hub(SETTINGS, metrics.streams)
    metrics.watch(hub, SETTINGS)
    return hub


def samples(metrics: Metrics) -> dict[str, float]:
    """The values of all series, by name and labels as PromQL writes them."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def requests(metrics: Metrics) -> Iterator[str]:
    return (series for series in samples(metrics) if series.startswith("gateway_http_request_duration_seconds_count"))


def scope(method: str, route: Any = None) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": "/v1/tasks/1", "route": route}


async def test_what_waits_is_counted_when_it_is_asked_for(metrics: Metrics, hub: Hub) -> None:
    subscriptions = [hub.subscribe(organization_id=OURS, subject_id=name) for name in ("task-1", "task-1", "task-2")]
    subscriptions.append(hub.subscribe(organization_id=OURS))
    await publish(hub, [event(number, organization_id=OURS) for number in (1, 2)])
    await publish(hub, [event(1, organization_id=OURS, subject="task-2")])
    subscriptions[0].take()
    values = samples(metrics)
    assert values['gateway_subscriptions{kind="subject"}'] == 3
    assert values['gateway_subscriptions{kind="organization"}'] == 1
    assert values["gateway_subscriptions_limit"] == 7
    assert values["gateway_queued_events"] == 0 + 2 + 1 + 3
    assert values["gateway_queued_events_max"] == 3
    assert values["gateway_queued_events_limit"] == 3


async def test_a_delivery_is_one_event_to_one_subscription(metrics: Metrics, hub: Hub) -> None:
    for name in ("task-1", "task-1", "task-2", None):
        hub.subscribe(organization_id=OURS, subject_id=name)
    await publish(hub, [event(number, organization_id=OURS) for number in (1, 2)])
    assert samples(metrics)["gateway_stream_deliveries_total"] == 2 * 3


def test_a_hub_without_subscriptions_has_nothing_waiting(metrics: Metrics, hub: Hub) -> None:
    assert samples(metrics)["gateway_queued_events_max"] == len(hub) == 0


def test_an_open_stream_is_counted_until_it_ends_with_its_reason(metrics: Metrics) -> None:
    with metrics.streams.open_stream(Protocol.WEBSOCKET) as stream:
        assert samples(metrics)['gateway_streams_open{protocol="websocket"}'] == 1
        stream.ending = Ending.LAGGED
    values = samples(metrics)
    assert values['gateway_streams_open{protocol="websocket"}'] == 0
    assert values['gateway_streams_ended_total{protocol="websocket",reason="lagged"}'] == 1
    assert values['gateway_streams_ended_total{protocol="sse",reason="lagged"}'] == 0


def test_a_stream_that_breaks_by_an_error_of_ours_has_failed(metrics: Metrics) -> None:
    with pytest.raises(ZeroDivisionError), metrics.streams.open_stream(Protocol.SSE):
        raise ZeroDivisionError
    assert samples(metrics)['gateway_streams_ended_total{protocol="sse",reason="failed"}'] == 1


def test_a_request_is_counted_by_its_route_and_never_by_what_its_caller_wrote(metrics: Metrics) -> None:
    (route,) = [route for route in routes() if getattr(route, "path", "") == "/v1/tasks/{task_id}"]
    metrics.answer(scope("GET", route), 200, 0.003)
    metrics.answer(scope("GET", route), 200, 0.003)
    metrics.answer(scope("BREW"), 404, 0.001)
    assert set(requests(metrics)) == {
        'gateway_http_request_duration_seconds_count{method="GET",route="/v1/tasks/{task_id}",status="200"}',
        'gateway_http_request_duration_seconds_count{method="other",route="other",status="404"}',
    }


def test_two_applications_in_one_process_count_apart(metrics: Metrics) -> None:
    other = Metrics("1.2.3")
    metrics.streams.events_read.inc(5)
    assert samples(metrics)["gateway_tail_events_read_total"] == 5
    assert samples(other)["gateway_tail_events_read_total"] == 0


def test_every_metric_is_explained_and_every_one_explained_is_there() -> None:
    listed = re.findall(r"^\| `(gateway_[a-z_]+)", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(name for name in exposed() if name.startswith("gateway_"))
