"""When a submitted task may begin, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.submission.refusals import ScheduleInvalid
from gateway.submission.schedule import Schedule, read_schedule

HOUR = 3600.0


def ahead(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def schedule(**times: Any) -> Schedule:
    return read_schedule(**{"eta": None, "countdown": None, "expires": None, "furthest": HOUR} | times)


def test_without_times_a_task_may_begin_at_once_and_whenever() -> None:
    assert schedule() == Schedule(eta=None, expires=None)


def test_times_are_kept_and_seconds_count_from_now() -> None:
    eta, expires = ahead(60), ahead(120)
    assert schedule(eta=eta, expires=expires) == Schedule(eta=eta, expires=expires)
    before = datetime.now(UTC)
    found = schedule(countdown=60, expires=120.5)
    after = datetime.now(UTC)
    assert found.eta is not None
    assert found.expires is not None
    assert before <= found.eta - timedelta(seconds=60) <= after
    assert found.expires - found.eta == timedelta(seconds=60.5)


def test_a_time_that_is_over_means_at_once() -> None:
    eta = ahead(-HOUR)
    assert schedule(eta=eta).eta == eta


@pytest.mark.parametrize(
    ("times", "pointers"),
    [
        ({"eta": ahead(60), "countdown": 60}, ["/countdown"]),
        ({"eta": ahead(1000 * HOUR)}, ["/eta"]),
        ({"countdown": HOUR + 1}, ["/countdown"]),
        ({"countdown": 1e300, "expires": 1e300}, ["/countdown", "/expires"]),
        ({"expires": ahead(1000 * HOUR)}, ["/expires"]),
        ({"expires": ahead(-1)}, ["/expires"]),
        ({"expires": 0}, ["/expires"]),
        ({"countdown": 60, "expires": 30}, ["/expires"]),
        ({"eta": ahead(60), "expires": ahead(30)}, ["/expires"]),
    ],
)
def test_times_that_cannot_be_kept_are_refused_with_their_place(times: dict[str, Any], pointers: list[str]) -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        schedule(**times)
    assert [fault.pointer for fault in refused.value.faults] == pointers
