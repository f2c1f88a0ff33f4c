"""How long a receiver took, by a process that has more to do than it can."""

from __future__ import annotations

import asyncio
import time

from workerapp.webhooks.lateness import Lateness


async def test_what_the_event_loop_is_late_is_no_waiting() -> None:
    with Lateness().measuring() as stopwatch:
        for _ in range(5):
            time.sleep(0.2)  # noqa: ASYNC251 - holds up the loop
            await asyncio.sleep(0.03)
        passed, waited = stopwatch.passed, stopwatch.waited
    assert passed >= 1000
    assert waited < passed - 800


async def test_what_passes_while_others_are_waited_for_is() -> None:
    lateness = Lateness()
    with lateness.measuring() as stopwatch:
        await asyncio.sleep(0.2)
        waited, late = stopwatch.waited, lateness.seconds
    assert waited >= 200 - late * 1000
    assert waited > 0


async def test_it_is_looked_at_only_while_somebody_measures() -> None:
    lateness = Lateness()
    with lateness.measuring(), lateness.measuring():
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with lateness.measuring():
        assert len(asyncio.all_tasks()) == 2
