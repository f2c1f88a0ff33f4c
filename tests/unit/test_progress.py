"""What a task tells of its progress: which of it is written, when it will end, and what is no progress."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from celery import Celery

from workerapp.base import BaseTask
from workerapp.contract.progress import MESSAGE_CHARACTERS, MOST, Progress, ProgressInvalid, Rate
from workerapp.progress import RESPITE, ProgressReports, ProgressTask


class Clock:
    """Goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Written:
    """Where reports are written; it takes so long, and refuses when told to."""

    def __init__(self, interval: float = 1.0) -> None:
        self.clock, self.takes, self.refuses = Clock(), 0.0, False
        self.progress: list[Progress] = []
        self.reports = ProgressReports(self._write, interval, self.clock)

    def _write(self, progress: Progress) -> bool:
        self.clock.now += self.takes
        if not self.refuses:
            self.progress.append(progress)
        return not self.refuses

    def tell(self, seconds: float, *told: Any) -> None:
        """After so many seconds."""
        self.clock.now += seconds
        self.reports.tell(*told)

    @property
    def done(self) -> list[Any]:
        return [progress.done for progress in self.progress]


# ---------------------------------------------------------------- what is written
def test_the_first_and_the_last_are_written_and_one_an_interval_between() -> None:
    written = Written()
    for done in range(21):
        written.tell(0.25, done, 20)
    assert written.done == [0, 4, 8, 12, 16, 20]
    written = Written()
    for done in range(20):
        written.tell(0.001, done, 19)
    assert written.done == [0, 19]


def test_what_is_held_gives_way_to_what_is_newer() -> None:
    written = Written()
    for done in (1, 2, 3):
        written.tell(0.1, done, 10, f"step {done}")
    held = written.reports.held
    assert (held and (held.done, held.message)) == (3, "step 3")
    written.tell(1.0, 4, 10)
    assert written.done == [1, 4]
    assert written.reports.held is None


def test_end_that_is_told_again_and_again_is_written_once_an_interval() -> None:
    written = Written()
    for _ in range(10):
        written.tell(0.2, 5, 5)
    assert written.done == [5, 5]


def test_what_could_not_be_written_is_held() -> None:
    written = Written()
    written.refuses = True
    written.tell(0, 1, 10)
    written.refuses = False
    written.tell(0.5, 2, 10)
    assert written.done == []
    held = written.reports.held
    assert held
    assert held.done == 2
    written.tell(0.5, 3, 10)
    assert written.done == [3]


def test_write_that_takes_long_is_followed_by_a_long_pause() -> None:
    written = Written()
    written.takes = 2.0
    written.tell(0, 1, 10)
    written.tell(RESPITE * 2.0 - 0.1, 2, 10)
    assert written.done == [1]
    written.tell(0.1, 3, 10)
    assert written.done == [1, 3]


# ---------------------------------------------------------------- when it ends
def test_estimate_is_what_is_left_at_the_rate_so_far() -> None:
    written = Written()
    written.tell(0, 0, 10)
    written.tell(4, 2, 10)
    written.tell(6, 5, 10)
    assert [progress.eta_seconds for progress in written.progress] == [None, 16.0, 10.0]
    assert [progress.fraction for progress in written.progress] == [0.0, 0.2, 0.5]


def test_what_was_done_before_the_first_report_does_not_count() -> None:
    written = Written()
    written.tell(0, 80, 100)
    written.tell(10, 90, 100)
    assert written.progress[-1].eta_seconds == 10.0


def test_estimate_follows_a_change_of_pace_without_a_jump() -> None:
    rate = Rate(0.0, 0.0, 0)
    for second in range(1, 101):
        rate = rate.after(second, float(second))
    assert rate.eta(100) == pytest.approx(100)
    for second in range(101, 201):
        rate = rate.after(100 + (second - 100) * 3, float(second))
    # The rate since the beginning is 2 a second, the latest 3: work of the later half counts three times as much.
    assert rate.eta(100) == pytest.approx(100 / 2.5, rel=0.01)


@pytest.mark.parametrize(
    ("told", "eta"),
    [
        ([(1,), (2,)], None),  # of nobody knows how much
        ([(0, 10)], None),  # nothing to compare with
        ([(3, 10), (3, 10)], None),  # nothing was done meanwhile
        ([(8, 10), (2, 10)], None),  # begun anew
        ([(8, 10), (2, 10), (4, 10)], 6.0),
        ([(10, 10)], 0.0),
        ([(0, 0)], 0.0),
    ],
)
def test_there_is_no_estimate_while_it_cannot_be_told(told: list[tuple[int, ...]], eta: float | None) -> None:
    written = Written()
    for report in told:
        written.tell(2, *report)
    assert written.progress[-1].eta_seconds == eta


# ---------------------------------------------------------------- what it looks like
def test_progress_is_an_object_without_what_is_not_known() -> None:
    at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    known = Progress(done=3, total=10, message="reading", eta_seconds=12.5, at=at)
    assert json.loads(known.as_json()) == {
        "done": 3,
        "total": 10,
        "fraction": 0.3,
        "message": "reading",
        "eta_seconds": 12.5,
        "at": "2026-01-05T09:00:00.000000Z",
    }
    unknown = Progress(done=3, total=None, message=None, eta_seconds=None, at=at)
    assert json.loads(unknown.as_json()) == {"done": 3, "at": "2026-01-05T09:00:00.000000Z"}


def test_longest_message_leaves_room_in_an_event() -> None:
    written = Written()
    written.tell(0, MOST - 1, MOST, '\U0001f4ca"\\\x00\ud800\n' * MESSAGE_CHARACTERS)
    (progress,) = written.progress
    assert progress.message is not None
    assert len(progress.message) == MESSAGE_CHARACTERS
    assert progress.message.startswith('\U0001f4ca"\\   \U0001f4ca')
    assert progress.message.endswith("…")
    written.tell(0.1, 0.000001, MOST, "\U0001f4ca" * MESSAGE_CHARACTERS)
    written.tell(9.0, 0.000002, MOST, "\U0001f4ca" * MESSAGE_CHARACTERS)
    assert len(written.progress[-1].as_json().encode()) <= 1024


def test_numbers_of_other_kinds_are_told_as_json_has_them() -> None:
    written = Written()
    written.tell(0, Fraction(1, 3), 1.5)
    (progress,) = written.progress
    assert (progress.done, progress.total, progress.fraction) == (0.333333, 1.5, 0.222222)


# ---------------------------------------------------------------- what is no progress
@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        (("3", 10), TypeError, "'done' is '3'; it must be a number"),
        ((True, 10), TypeError, "'done' is True; it must be a number"),
        ((3, [10]), TypeError, r"'total' is \[10\]; it must be a number"),
        ((3, 10, b"x"), TypeError, "'message' is a bytes; it must be a text"),
        ((-1, 10), ProgressInvalid, "'done' is -1; it must be from 0 to"),
        ((float("nan"), 10), ProgressInvalid, "'done' is nan; it must be from 0 to"),
        ((3, float("inf")), ProgressInvalid, "'total' is inf; it must be from 0 to"),
        ((10**400, None), ProgressInvalid, "it must be from 0 to"),
        ((11, 10), ProgressInvalid, "'done' is 11 of 10; it cannot be more than 'total'"),
    ],
)
def test_wrong_call_says_what_would_be_right(told: tuple[Any, ...], error: type[Exception], message: str) -> None:
    written = Written()
    with pytest.raises(error, match=message):
        written.tell(0, *told)
    assert written.progress == []


# ---------------------------------------------------------------- without a worker
@pytest.fixture
def task() -> ProgressTask:
    app = Celery("eager", backend="disabled://", set_as_current=False)

    @app.task(bind=True, base=BaseTask, name="count", shared=False)
    def count(self: BaseTask, done: int, total: int) -> int:
        self.progress(done, total)
        return done

    return count


def test_task_that_is_called_like_a_function_goes_its_way(task: ProgressTask) -> None:
    assert task(3, 10) == 3
    assert task.run(3, 10) == 3
    assert task.apply((3, 10)).get() == 3


def test_wrong_call_fails_at_once_and_without_a_worker_too(task: ProgressTask) -> None:
    with pytest.raises(ProgressInvalid):
        task(11, 10)
    result = task.apply((11, 10))
    assert (result.state, type(result.result)) == ("FAILURE", ProgressInvalid)
