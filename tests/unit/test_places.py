"""Places of a lane: a limit that changes while tests are under way."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, generate_latest

from tests.exposition import read
from workerapp.execution.measures import PLACE_WAITS
from workerapp.execution.places import Places


def waits() -> float:
    """How often somebody waited for a place so far, in this process."""
    registry = CollectorRegistry()
    registry.register(PLACE_WAITS)
    return read(generate_latest(registry).decode())["gateway_lane_place_wait_seconds_count"]


async def test_who_waits_for_a_place_is_measured_and_who_has_one_at_once_is_not() -> None:
    before, places = waits(), Places(1)
    await places.__aenter__()
    assert waits() == before
    waiting = asyncio.create_task(places.__aenter__())
    await asyncio.sleep(0)
    await places.__aexit__()
    await waiting
    assert waits() == before + 1


async def test_no_more_are_let_in_than_the_limit_and_the_first_to_come_is_the_first() -> None:
    places, order = Places(2), list[int]()
    ends = [asyncio.Event() for _ in range(4)]

    async def work(number: int) -> None:
        async with places:
            order.append(number)
            await ends[number].wait()

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert (order, places.used) == ([0, 1], 2)
    ends[1].set()
    await tasks[1]
    await asyncio.sleep(0)
    assert (order, places.used) == ([0, 1, 2], 2)
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)
    assert (order, places.used) == ([0, 1, 2, 3], 0)


async def test_a_lower_limit_is_told_of_when_so_much_has_ended_that_it_holds() -> None:
    news = asyncio.Event()
    places = Places(0, wanted=3, news=news)
    places.allow(3, kept=0)
    for _ in range(3):
        await places.__aenter__()
    places.allow(1, kept=places.kept)
    assert (places.granted, places.kept) == (3, 3)
    await places.__aexit__()
    assert not news.is_set()
    await places.__aexit__()
    assert news.is_set()
    assert (places.used, places.kept) == (1, 1)


async def test_one_who_gives_up_waiting_takes_no_place_also_when_it_had_just_been_given_one() -> None:
    places = Places(1)
    await places.__aenter__()
    leaving, given, staying = (asyncio.create_task(places.__aenter__()) for _ in range(3))
    await asyncio.sleep(0)
    leaving.cancel()
    await places.__aexit__()
    given.cancel()
    await staying
    assert places.used == 1


async def test_what_there_is_no_use_for_is_not_kept() -> None:
    places = Places(0, wanted=10)
    places.allow(8, kept=0)
    places.want(2)
    assert places.kept == 8
    places.lower()
    assert (places.kept, places.granted) == (2, 8)
    places.want(50)
    assert places.wanted == 10
