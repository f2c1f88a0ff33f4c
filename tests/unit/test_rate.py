"""Starts that are reserved: used in their order, not made up for, and as many at once as are likely to be used."""

from __future__ import annotations

import asyncio
import math

from workerapp.execution.rate import BATCH_SECONDS, ReservedRate


def reserved(rate: ReservedRate, now: float, wait: float = 0.0) -> int:
    count = rate.due()
    rate.reserved(now, wait, count)
    return count


def test_a_start_that_nobody_used_has_passed() -> None:
    rate = ReservedRate(10, asyncio.Event())
    rate.want(0.0, 2)
    assert reserved(rate, now=0.0) == 2
    assert rate.next_start(0.0) == 0.0
    # Used a little late it still counts; after a whole interval it does not.
    assert rate.next_start(0.09) == 0.0
    assert rate.next_start(0.15) == 0.1
    assert rate.next_start(0.25) == math.inf


def test_more_are_reserved_shortly_before_the_last_and_only_if_somebody_waits() -> None:
    news = asyncio.Event()
    rate = ReservedRate(10, news)
    rate.want(0.0, 2)
    reserved(rate, now=0.0)
    news.clear()
    rate.want(0.0, 2)
    assert not news.is_set()
    rate.use(0.0)
    rate.want(0.04, 2)
    assert rate.due() == 0
    rate.want(0.06, 2)
    assert (news.is_set(), rate.due()) == (True, 2)


def test_who_uses_all_that_is_reserved_reserves_more_up_to_a_part_of_a_second() -> None:
    rate, now, counts = ReservedRate(100, asyncio.Event()), 0.0, list[int]()
    for _ in range(7):
        rate.want(now, 1)
        counts.append(reserved(rate, now))
        for _ in range(counts[-1]):
            now = rate.next_start(now)
            rate.use(now)
    assert counts == [1, 2, 4, 8, 16, 25, 25]
    assert counts[-1] == BATCH_SECONDS * 100


def test_one_of_many_reserves_less() -> None:
    rate = ReservedRate(100, asyncio.Event())
    rate.want(0.0, 1000)
    assert reserved(rate, now=0.0, wait=1.0) == 25
    rate.want(2.0, 1000)
    rate.next_start(2.0)
    rate.want(2.0, 1000)
    assert rate.due() == 6
