"""Threads for what blocks: whatever hangs holds up no other call, nor the end of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from workerapp.webhooks.free_threads import FreeThreads

#: Ends although one of its calls never does.
HANGING = """
import asyncio, threading
from workerapp.webhooks.free_threads import FreeThreads

async def main():
    asyncio.get_running_loop().set_default_executor(FreeThreads())
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    print(await asyncio.to_thread(lambda: "went on"))

asyncio.run(main())
"""


async def test_calls_that_hang_hold_up_no_other() -> None:
    gate = threading.Event()
    loop, threads = asyncio.get_running_loop(), FreeThreads()
    hanging = [loop.run_in_executor(threads, gate.wait) for _ in range(300)]
    assert await loop.run_in_executor(threads, lambda: 7) == 7
    assert not any(call.done() for call in hanging)
    gate.set()
    assert await asyncio.gather(*hanging) == [True] * 300


async def test_what_a_call_raises_is_raised_where_it_is_awaited() -> None:
    with pytest.raises(ZeroDivisionError):
        await asyncio.get_running_loop().run_in_executor(FreeThreads(), lambda: 1 / 0)


def test_the_process_ends_while_a_call_hangs() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "went on\n"
