"""A wait reads the subject at its beginning and at its end, and in between only if it may have missed something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from gateway.stream.burst import subject_burst
from gateway.stream.envelope import EncodedEvent, encode
from gateway.stream.hub import Hub, Subscription
from gateway.stream.waiting import wait_until
from tests.unit.test_hub import SPAN, event

OURS, SUBJECT = uuid4(), "task-1"
LONG, PATIENCE = 60.0, 20.0


@dataclass(frozen=True)
class Row:
    """A subject as the database has it."""

    seq: int = 1
    is_terminal: bool = False


@dataclass
class Place:
    """One who waits, the hub that tells them, and the row that they read."""

    hub: Hub = field(default_factory=Hub)
    row: Row = field(default_factory=Row)
    reads: int = 0
    #: Is called in the middle of each read, when the row was read and the answer is still on its way.
    meanwhile: Callable[[], None] = lambda: None
    has_left: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> Row:
        self.reads += 1
        row = self.row
        self.meanwhile()
        return row

    async def receive(self) -> Message:
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def wait(self, awaited: Callable[[int], bool] = lambda _: False, seconds: float = LONG) -> Row:
        with self.hub.subscribe(organization_id=OURS, subject_id=SUBJECT) as subscription:
            return await wait_until(awaited, self.read, subscription, self.receive, seconds)

    async def begin(self, awaited: Callable[[int], bool] = lambda _: False) -> asyncio.Task[Row]:
        """A wait that has come to rest."""
        waiting = asyncio.create_task(self.wait(awaited))
        await self.rest()
        return waiting

    async def rest(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not any(subscription.is_attached for subscription in self.subscriptions()):  # noqa: ASYNC110 - no signal
                await asyncio.sleep(0)

    async def happen(self, *events: EncodedEvent, row: Row) -> None:
        self.row = row
        await self.hub.publish(events, SPAN)

    def subscriptions(self) -> list[Subscription]:
        return [subscription for members in self.hub._subscriptions.values() for subscription in members]


def told(seq: int, *, ends: bool = False) -> EncodedEvent:
    progress = event(seq, organization_id=OURS, subject=SUBJECT)
    return encode(replace(progress.event, type="task.succeeded")) if ends else progress


async def end(waiting: asyncio.Task[Row]) -> Row:
    return await asyncio.wait_for(waiting, PATIENCE)


@pytest.mark.parametrize("row", [Row(3, is_terminal=True), Row(4)])
async def test_what_is_there_already_is_not_waited_for(row: Row) -> None:
    place = Place(row=row)
    assert await place.wait(lambda seq: seq == 4) == row
    assert (place.reads, len(place.hub)) == (1, 0)


async def test_steps_on_the_way_wake_nobody_and_the_end_is_read_once() -> None:
    place = Place()
    waiting = await place.begin()
    for seq in range(2, 500):
        await place.happen(told(seq), row=Row(seq))
        assert place.subscriptions()[0].is_attached
    await place.happen(told(500), told(501, ends=True), row=Row(501, is_terminal=True))
    assert await end(waiting) == Row(501, is_terminal=True)
    assert (place.reads, len(place.hub)) == (2, 0)


async def test_a_change_that_is_awaited_wakes_and_what_was_read_before_does_not() -> None:
    place = Place(row=Row(3))
    waiting = await place.begin(lambda seq: seq != 3)
    for seq in (2, 3):  # the tail is late
        await place.happen(told(seq), row=Row(3))
        assert place.subscriptions()[0].is_attached
    await place.happen(told(4), row=Row(4))
    assert await end(waiting) == Row(4)
    assert place.reads == 2


async def test_an_end_that_comes_while_the_row_is_read_is_not_missed() -> None:
    place = Place()

    def end_meanwhile() -> None:
        place.meanwhile = lambda: None
        place.row = Row(2, is_terminal=True)
        place.subscriptions()[0].put(subject_burst([told(2, ends=True)]))

    place.meanwhile = end_meanwhile
    assert await asyncio.wait_for(place.wait(), PATIENCE) == Row(2, is_terminal=True)
    assert place.reads == 2


async def test_a_step_that_comes_while_the_row_is_read_is_no_reason_to_read_again() -> None:
    place = Place()
    place.meanwhile = lambda: place.subscriptions()[0].put(subject_burst([told(2)]))
    waiting = await place.begin()
    assert place.reads == 1
    waiting.cancel()


async def test_after_a_gap_of_the_hub_the_row_is_read_and_the_wait_goes_on() -> None:
    place = Place()
    waiting = await place.begin()
    place.hub.lag()
    await place.rest()
    assert place.reads == 2
    place.row = Row(9, is_terminal=True)
    place.hub.lag()  # the end itself was never told
    assert await end(waiting) == Row(9, is_terminal=True)
    assert place.reads == 3


async def test_when_the_time_is_up_the_row_is_as_it_is_then() -> None:
    place = Place()
    place.meanwhile = lambda: setattr(place, "row", Row(2))
    assert await place.wait(seconds=0) == Row(2)
    assert (place.reads, len(place.hub)) == (2, 0)


async def test_draining_ends_waits_and_lets_none_begin() -> None:
    place = Place()
    waiting = await place.begin()
    place.hub.drain()
    assert await end(waiting) == Row(1)
    assert await asyncio.wait_for(place.wait(), PATIENCE) == Row(1)
    assert len(place.hub) == 0


async def test_a_client_that_leaves_ends_the_wait() -> None:
    place = Place()
    waiting = await place.begin()
    place.has_left.set()
    with pytest.raises(ClientDisconnect):
        await end(waiting)
    assert (place.reads, len(place.hub)) == (1, 0)
