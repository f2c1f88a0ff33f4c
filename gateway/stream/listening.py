"""Listens for a client to leave, until there is something to tell it: one task for both, and no other beside it."""

from __future__ import annotations

import asyncio

from starlette.types import Receive


class Listener:
    """Waits in `receive` of the request that it belongs to; a server has nothing else to say there."""

    __slots__ = ("_listening", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._listening: asyncio.Timeout | None = None

    async def listen(self, seconds: float) -> bool:
        """Whether the client left; false when woken, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds) as self._listening:
                while (await self._receive())["type"] != "http.disconnect":
                    pass
                return True
        except TimeoutError:
            return False
        finally:
            self._listening = None

    def wake(self) -> None:
        """End the listening, if there is any."""
        # The time may be up in this very moment: what has begun to time out must not be told again.
        if self._listening is not None and not self._listening.expired():
            self._listening.reschedule(0)
