"""A request that waits hears that its client left, is woken by news, and gives up in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import Message

from gateway.stream.listening import Listener

LONG = 60.0


class Client:
    """Stays until it is told to leave; `arrives` is called whenever somebody begins to listen to it."""

    def __init__(self, arrives: Callable[[], object] = lambda: None) -> None:
        self._arrives = arrives
        self.has_left = asyncio.Event()

    async def receive(self) -> Message:
        self._arrives()
        await self.has_left.wait()
        return {"type": "http.disconnect"}


async def test_a_client_that_leaves_is_heard() -> None:
    client = Client()
    client.has_left.set()
    assert await Listener(client.receive).listen(LONG)


async def test_news_ends_the_listening_and_the_next_one_can_begin() -> None:
    client = Client(lambda: asyncio.get_running_loop().call_soon(listener.wake))
    listener = Listener(client.receive)
    assert not await listener.listen(LONG)
    assert not await listener.listen(LONG)


async def test_the_time_is_kept() -> None:
    assert not await Listener(Client().receive).listen(0)


async def test_news_in_the_moment_when_the_time_is_up_troubles_nobody() -> None:
    """The hub, on whose stack `wake` runs, would not get to the next stream."""
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    # The listener's own timer was set first, so it goes off first, and the task has no turn between the two.
    client = Client(lambda: asyncio.get_running_loop().call_soon(listener.wake))
    listener = Listener(client.receive)
    assert not await listener.listen(0)
    assert problems == []


async def test_news_for_nobody_is_forgotten() -> None:
    client = Client()
    listener = Listener(client.receive)
    listener.wake()
    client.has_left.set()
    assert await listener.listen(LONG)
