"""What waits in the whole database, as each worker tells it: the same, so that whoever adds it up takes the largest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from workerapp.backlog import OpenWork, Queue

#: As many queues are told by name, the fullest; tasks may be sent to any others.
_MOST_QUEUES = 50
_OTHER = "other"
_STATES = ("ready", "delayed", "leased", "published")


class BacklogMetrics(Collector):
    """Made once for each app; before the first look there is nothing to tell."""

    def __init__(self) -> None:
        self._queues: Sequence[Queue] = ()
        #: Those that this worker fetches from have a series when they are empty, too.
        self.consumed: tuple[str, ...] = ()
        self._work: OpenWork | None = None
        self._looked_at: datetime | None = None

    def tell(self, queues: Sequence[Queue], work: OpenWork) -> None:
        """What was seen right now."""
        self._queues = sorted(queues, key=lambda queue: -_size(queue))
        self._work, self._looked_at = work, datetime.now(UTC)

    def collect(self) -> Iterator[Metric]:
        yield from self._of_queues()
        work = self._work
        for name, means, read in _OPEN_WORK:
            # Without a value it has no series.
            yield GaugeMetricFamily(name, means, None if work is None else read(work))
        looked_at = _timestamp(self._looked_at)
        yield GaugeMetricFamily("gateway_backlog_timestamp_seconds", "When all this was looked at.", looked_at)

    def _of_queues(self) -> Iterator[Metric]:
        messages = GaugeMetricFamily(
            "gateway_queue_messages", "Messages in queues of tasks.", labels=["queue", "state"]
        )
        oldest = GaugeMetricFamily(
            "gateway_queue_ready_seconds",
            "How long the message has been ready that has been longest.",
            labels=["queue"],
        )
        for name, queues in self._by_label().items():
            for state in _STATES:
                messages.add_metric([name, state], sum(getattr(queue, state) for queue in queues))
            oldest.add_metric([name], max((_seconds_since(queue.ready_since) for queue in queues), default=0.0))
        yield messages
        yield oldest

    def _by_label(self) -> dict[str, list[Queue]]:
        labelled: dict[str, list[Queue]] = {name: [] for name in self.consumed}
        for queue in self._queues:
            has_name = queue.queue in labelled or len(labelled) < _MOST_QUEUES
            labelled.setdefault(queue.queue if has_name else _OTHER, []).append(queue)
        return labelled


def _size(queue: Queue) -> int:
    return queue.ready + queue.delayed + queue.leased + queue.published


def _seconds_since(moment: datetime | None) -> float:
    return 0.0 if moment is None else max((datetime.now(UTC) - moment).total_seconds(), 0.0)


def _timestamp(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


_OPEN_WORK: tuple[tuple[str, str, Callable[[OpenWork], float]], ...] = (
    ("gateway_tasks_open", "Tasks that have not ended.", lambda work: work.tasks),
    ("gateway_runs_open", "Runs that have not ended.", lambda work: work.runs),
    ("gateway_tests_pending", "Tests of open runs that have no result.", lambda work: work.tests),
    (
        "gateway_runs_overdue_seconds",
        "How long the oldest open run is past its deadline.",
        lambda work: _seconds_since(work.overdue_since),
    ),
    ("gateway_workers_alive", "Workers that report.", lambda work: work.workers),
    ("gateway_sweep_timestamp_seconds", "When a worker last swept.", lambda work: _timestamp(work.swept_at)),
)
