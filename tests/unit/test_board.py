"""What several processes count together: the sum is right whoever of them is gone."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.exposition import read
from workerapp.board import Board
from workerapp.instruments import Count, Durations, Instrument, Level

#: The children do nothing that threads could stand in the way of.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
BUCKETS = (0.1, 1)


@pytest.fixture
def board() -> Board:
    return Board(rows=4, cells=32)


def told(instrument: Instrument) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(instrument)
    return read(generate_latest(registry).decode())


def in_child(board: Board, row: int, work: Callable[[], object]) -> None:
    """Do something in a forked process, which then ends without a word."""
    pid = os.fork()
    if pid == 0:
        board.take_row(row)
        work()
        os._exit(0)
    os.waitpid(pid, 0)


def test_each_process_counts_and_the_parent_tells_the_sum(board: Board) -> None:
    count = Count("gateway_things", "x", "kind", ("good", "bad"), board=board)
    count.add("good")
    in_child(board, 1, lambda: count.add("good"))
    in_child(board, 2, lambda: [count.add("good"), count.add("bad")])
    assert told(count) == {"gateway_things_total good": 3, "gateway_things_total bad": 1}


def test_who_takes_the_place_of_another_counts_on(board: Board) -> None:
    count = Count("gateway_things", "x", board=board)
    for _ in range(3):
        in_child(board, 1, count.add)
    assert told(count) == {"gateway_things_total": 3}


def test_a_level_of_a_process_that_is_gone_goes_with_the_next_in_its_place(board: Board) -> None:
    level = Level("gateway_things_active", "x", board=board)
    in_child(board, 1, level.rise)
    level.rise()
    assert told(level) == {"gateway_things_active": 2}
    in_child(board, 1, lambda: None)
    assert told(level) == {"gateway_things_active": 1}
    level.fall()
    assert told(level) == {"gateway_things_active": 0}


def test_durations_of_all_processes_are_one_histogram(board: Board) -> None:
    durations = Durations("gateway_seconds", "x", "kind", ("good",), buckets=BUCKETS, board=board)
    for seconds in (0.1, 0.5):
        durations.observe(seconds, "good")
    in_child(board, 1, lambda: durations.observe(30, "good"))
    assert told(durations) == {
        "gateway_seconds_bucket good 0.1": 1,
        "gateway_seconds_bucket good 1.0": 2,
        "gateway_seconds_bucket good +Inf": 3,
        "gateway_seconds_count good": 3,
        "gateway_seconds_sum good": pytest.approx(30.6),
    }


def test_a_row_beyond_the_last_is_the_last(board: Board) -> None:
    count = Count("gateway_things", "x", board=board)
    for row in (1, 2, 3, 999):
        in_child(board, row, count.add)
    assert told(count) == {"gateway_things_total": 4}
