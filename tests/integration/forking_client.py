"""Asks the URL of its argument, forks while the answer is outstanding, breaks the request off and closes all it has.

Prints the child's process id when it has done so; the child lives until this process is told to end.
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp

from workerapp.contract.outbound import OutboundPolicy
from workerapp.execution.guard import guarded_session


async def ask(url: str) -> int:
    timeout = aiohttp.ClientTimeout(total=60)
    async with guarded_session(OutboundPolicy.parse("127.0.0.0/8"), timeout=timeout) as session:
        asking = asyncio.create_task(session.post(url, data=b"{}"))
        await asyncio.to_thread(sys.stdin.readline)  # the receiver has the request
        child = os.fork()
        if child == 0:
            sys.stdin.readline()
            os._exit(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    return child


if __name__ == "__main__":
    print(asyncio.run(ask(sys.argv[1])), flush=True)
    sys.stdin.read()
