"""A coroutine begun in place ends there if it need not wait, and goes on in a task if it must."""

from __future__ import annotations

import asyncio

import pytest

from gateway.stream.eager import Eager


class Gate:
    """Lets through who comes while it is open; others wait."""

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = asyncio.Event()
        self.passed: list[str] = []
        if is_open:
            self.is_open.set()

    async def walk(self, name: str) -> None:
        await self.is_open.wait()
        self.passed.append(name)


async def test_what_need_not_wait_is_done_at_once() -> None:
    gate = Gate(is_open=True)
    assert Eager(gate.walk("a")).is_done
    assert gate.passed == ["a"]


async def test_what_must_wait_ends_in_the_task_that_awaits_it() -> None:
    gate = Gate(is_open=False)
    walking = Eager(gate.walk("a"))
    assert not walking.is_done
    asyncio.get_running_loop().call_soon(gate.is_open.set)
    async with asyncio.timeout(5):
        await walking
    assert walking.is_done
    assert gate.passed == ["a"]


async def test_failure_comes_to_whoever_awaits_and_not_to_who_began() -> None:
    async def fail() -> None:
        raise ConnectionError

    failed = Eager(fail())
    assert not failed.is_done
    with pytest.raises(ConnectionError):
        await failed


async def test_time_that_is_up_ends_the_wait_inside_the_coroutine() -> None:
    left: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.append("cleaned up")

    waiting = Eager(wait())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await waiting
    assert left == ["cleaned up"]


async def test_several_waits_follow_one_another() -> None:
    gates = [Gate(is_open=False) for _ in range(3)]

    async def walk() -> None:
        for gate in gates:
            asyncio.get_running_loop().call_soon(gate.is_open.set)
            await gate.walk("a")

    async with asyncio.timeout(5):
        await Eager(walk())
    assert [gate.passed for gate in gates] == [["a"]] * 3
