"""Sockets of requests do not live on in forked children."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.integration.streams import eventually
from tests.webhooks import receiving


async def test_a_connection_ends_with_its_process_however_long_a_child_lives_that_was_forked_meanwhile() -> None:
    async with receiving() as receiver:
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.integration.forking_client", f"{receiver.url}/hang"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        await eventually(lambda: receiver.under_way.get("/hang") == 1)
        client.stdin.write(b"\n")
        child = int(await client.stdout.readline())
        await eventually(lambda: receiver.under_way["/hang"] == 0)

        os.kill(child, 0)  # it is there yet
        client.stdin.close()
        assert await client.wait() == 0
