"""What is counted on the board, as Prometheus knows it: counts, durations, and how much there is at a moment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from math import inf

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from workerapp.board import BOARD, Board

#: The one label of an instrument that has none.
_NONE = ""


class Instrument(Collector):
    """A name, and a label whose values are all known before."""

    def __init__(
        self, name: str, means: str, label: str = "", values: Iterable[str] = (_NONE,), *, board: Board = BOARD
    ) -> None:
        self._name, self._means, self._board = name, means, board
        self._labels = [label] if label else []
        self._values = tuple(str(value) for value in values)

    def _told(self, value: str) -> list[str]:
        return [value] if self._labels else []


class Count(Instrument):
    """How often something has happened."""

    def __init__(
        self, name: str, means: str, label: str = "", values: Iterable[str] = (_NONE,), *, board: Board = BOARD
    ) -> None:
        super().__init__(name, means, label, values, board=board)
        self._cells = {value: board.reserve(1) for value in self._values}

    def add(self, value: str = _NONE) -> None:
        """Once more."""
        self._board.add(self._cells[value], 1.0)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._means, labels=self._labels)
        for value, cell in self._cells.items():
            family.add_metric(self._told(value), self._board.total(cell))
        yield family


class Level(Instrument):
    """How much of something there is in this moment."""

    def __init__(self, name: str, means: str, *, board: Board = BOARD) -> None:
        super().__init__(name, means, board=board)
        self._cell = board.reserve(1, momentary=True)

    def rise(self) -> None:
        """By one."""
        self._board.add(self._cell, 1.0)

    def fall(self) -> None:
        """By one."""
        self._board.add(self._cell, -1.0)

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, self._means, self._board.total(self._cell))


class Durations(Instrument):
    """How long something took, in seconds: a histogram."""

    def __init__(
        self,
        name: str,
        means: str,
        label: str = "",
        values: Iterable[str] = (_NONE,),
        *,
        buckets: Sequence[float],
        board: Board = BOARD,
    ) -> None:
        super().__init__(name, means, label, values, board=board)
        self._buckets = tuple(buckets)
        #: For each value a cell for each bucket, one for what is longer than all, and one for the sum.
        self._sum = len(self._buckets) + 1
        self._cells = {value: board.reserve(self._sum + 1) for value in self._values}

    def observe(self, seconds: float, value: str = _NONE) -> None:
        """Something has taken so long."""
        first = self._cells[value]
        bucket = bisect_left(self._buckets, seconds)
        self._board.add_both(first + bucket, 1.0, first + self._sum, seconds)

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._means, labels=self._labels)
        for value, first in self._cells.items():
            total = self._board.total(first + self._sum)
            family.add_metric(self._told(value), list(self._cumulated(first)), total)
        yield family

    def _cumulated(self, first: int) -> Iterator[tuple[str, float]]:
        count = 0.0
        for place, bound in enumerate((*self._buckets, inf)):
            count += self._board.total(first + place)
            yield "+Inf" if bound == inf else str(float(bound)), count
