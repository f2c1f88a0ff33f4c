"""What a worker tells of queues: those it consumes always, others as far as they are full, and no end of names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from tests.exposition import families, read
from workerapp.backlog import OpenWork, Queue
from workerapp.backlog_metrics import BacklogMetrics

NOTHING = OpenWork(tasks=0, runs=0, tests=0, overdue_since=None, workers=1, swept_at=None)


def queue(name: str, ready: int) -> Queue:
    return Queue(queue=name, ready=ready, delayed=0, leased=0, published=0, ready_since=None)


def told(metrics: BacklogMetrics) -> str:
    registry = CollectorRegistry()
    registry.register(metrics)
    return generate_latest(registry).decode()


def test_nothing_is_told_before_the_first_look() -> None:
    text = told(BacklogMetrics())
    assert "gateway_workers_alive" in families(text)
    assert read(text) == {"gateway_backlog_timestamp_seconds": 0}


def test_a_queue_that_is_consumed_is_told_when_it_is_empty() -> None:
    metrics = BacklogMetrics()
    metrics.consumed = ("celery",)
    metrics.tell([], NOTHING)
    values = read(told(metrics))
    assert values["gateway_queue_messages celery ready"] == values["gateway_queue_ready_seconds celery"] == 0
    assert values["gateway_workers_alive"] == 1


def test_the_fullest_queues_have_names_and_the_rest_is_one() -> None:
    metrics = BacklogMetrics()
    metrics.consumed = ("celery",)
    metrics.tell([queue("celery", 1), *(queue(f"queue {number}", number) for number in range(1, 101))], NOTHING)
    ready = {series: value for series, value in read(told(metrics)).items() if series.endswith(" ready")}
    assert len(ready) == 51
    assert ready["gateway_queue_messages celery ready"] == 1
    assert ready["gateway_queue_messages queue 100 ready"] == 100
    assert "gateway_queue_messages queue 51 ready" not in ready
    assert ready["gateway_queue_messages other ready"] == sum(range(1, 52))
