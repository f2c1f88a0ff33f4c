"""The least that could be done: one process asks an application many questions at once, judges, and keeps nothing."""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
import uvloop


async def ask_all(url: str, questions: int, concurrency: int) -> float:
    """Questions a second."""
    waiting = iter(range(questions))
    passed = 0

    async def ask(session: aiohttp.ClientSession) -> None:
        nonlocal passed
        for number in waiting:
            async with session.post(url, json={"question": f"question {number}"}) as answer:
                passed += (await answer.json())["output"] == "ok"

    began = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session) for _ in range(concurrency)))
    assert passed == questions, passed
    return questions / (time.monotonic() - began)


if __name__ == "__main__":
    print(f"{uvloop.run(ask_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))):.1f} a second", flush=True)
