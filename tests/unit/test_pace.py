"""When requests may start: holds, order after a hold, and a steady rate."""

from __future__ import annotations

import asyncio

import pytest

from workerapp.execution.pace import Pace, TooLate
from workerapp.execution.rate import SteadyRate


async def test_after_a_hold_the_oldest_test_goes_first() -> None:
    pace, order = Pace(), list[float]()
    deadline = asyncio.get_running_loop().time() + 10
    pace.hold(0.05)

    async def start(since: float) -> None:
        await pace.turn(since, deadline)
        order.append(since)

    await asyncio.gather(*(start(since) for since in (3.0, 1.0, 5.0, 2.0, 4.0)))
    assert order == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_hold_that_comes_while_others_wait_holds_them_longer() -> None:
    pace, loop = Pace(), asyncio.get_running_loop()
    began = loop.time()
    pace.hold(0.05)
    waiting = asyncio.create_task(pace.turn(1.0, began + 10))
    await asyncio.sleep(0)
    pace.hold(0.2)
    await waiting
    assert loop.time() - began >= 0.19


async def test_turn_after_the_deadline_is_refused_at_once() -> None:
    pace = Pace()
    pace.hold(60)
    with pytest.raises(TooLate) as caught:
        await pace.turn(0.0, asyncio.get_running_loop().time() + 1)
    assert 59 < caught.value.seconds <= 60


async def test_test_that_gives_up_does_not_use_a_turn() -> None:
    pace, loop = Pace(SteadyRate(10)), asyncio.get_running_loop()
    deadline = loop.time() + 10
    await pace.turn(0.0, deadline)
    leaving = asyncio.create_task(pace.turn(1.0, deadline))
    staying = asyncio.create_task(pace.turn(2.0, deadline))
    await asyncio.sleep(0)
    began = loop.time()
    leaving.cancel()
    await staying
    assert loop.time() - began < 0.15


async def test_rate_is_kept_and_a_pause_saves_up_nothing() -> None:
    pace, loop = Pace(SteadyRate(100)), asyncio.get_running_loop()
    began = loop.time()
    for _ in range(11):
        await pace.turn(began, began + 10)
    assert loop.time() - began >= 0.09
