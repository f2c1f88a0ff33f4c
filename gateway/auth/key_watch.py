"""Ends what a credential has opened, streams and waits, when its time is over or its key is good no more.

The database tells which key has changed, and the tail hears it. What is told is only a reason to look at the key again,
so a notification that is lost, repeated or forged ends nothing by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from gateway.auth.key_finder import KeyFinder
from workerapp.contract.caller import Caller
from workerapp.contract.events import KEY_CHANNEL

logger = logging.getLogger(__name__)

#: Between two attempts to look at keys while the database does not answer.
PAUSE = 0.5


class Held:
    """Something open; leave its `with` block when it is closed."""

    __slots__ = ("_caller", "_end", "_timer", "_until", "_watch")

    def __init__(self, watch: KeyWatch, caller: Caller, end: Callable[[], None], until: datetime | None) -> None:
        self._watch = watch
        self._caller = caller
        self._end = end
        self._until = until
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._end_at(self._caller.expires_at)
        self._watch.add(self, self._caller)
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel()
        self._watch.remove(self, self._caller)

    def renew(self, caller: Caller | None) -> None:
        """Go on with the key as it is now, if it is still one that may have opened this."""
        if caller is None or (caller.organization_id, caller.scopes) != (
            self._caller.organization_id,
            self._caller.scopes,
        ):
            self._cancel()
            self._end()
        else:
            self._end_at(caller.expires_at)

    def _end_at(self, expires_at: datetime | None) -> None:
        """When the key's time is over, or that of the token which the key has made."""
        self._cancel()
        ends = [at for at in (expires_at, self._until) if at is not None]
        if ends:
            seconds = (min(ends) - datetime.now(UTC)).total_seconds()
            self._timer = asyncio.get_running_loop().call_later(max(seconds, 0), self._end)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class KeyWatch:
    """Who has what open, by key; hears of changes through the tail's connection."""

    channel = KEY_CHANNEL

    def __init__(self, keys: KeyFinder) -> None:
        self._keys = keys
        self._open: defaultdict[UUID, set[Held]] = defaultdict(set)
        self._suspects: set[UUID] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hold(self, caller: Caller, end: Callable[[], None], until: datetime | None = None) -> Held:
        """Call `end` when the caller's credential is good no more, or at `until`; it may be called more than once."""
        return Held(self, caller, end, until)

    def told(self, payload: str) -> None:
        """A key has changed."""
        try:
            key_id = UUID(payload)
        except ValueError:
            return  # anybody with a login can notify
        self._keys.forget(key_id)
        if key_id in self._open:
            self._suspect([key_id])

    def missed(self) -> None:
        """Any key may have changed."""
        self._keys.forget_all()
        self._suspect(self._open)

    def add(self, held: Held, caller: Caller) -> None:
        """Take note of what was opened; the key may have changed since its holder was let in."""
        if caller.key_id is not None:
            self._open[caller.key_id].add(held)
            if not self._keys.knows(caller):
                self._suspect([caller.key_id])

    def remove(self, held: Held, caller: Caller) -> None:
        """Forget what was closed."""
        if caller.key_id is None:
            return
        members = self._open[caller.key_id]
        members.discard(held)
        if not members:
            del self._open[caller.key_id]

    def start(self) -> None:
        """Begin to look at keys that have changed."""
        self._task = asyncio.create_task(self._run(), name="key-watch")

    async def stop(self) -> None:
        """End; what is open stays open."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _suspect(self, key_ids: Iterable[UUID]) -> None:
        self._suspects.update(key_ids)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            suspects, self._suspects = self._suspects, set()
            try:
                await self._look_at(suspects)
            except Exception as error:  # noqa: BLE001 - it never gives up: revoked keys would stream on
                logger.warning("keys_not_looked_at", extra={"error": type(error).__name__, "reason": str(error)})
                await asyncio.sleep(PAUSE)
                self._suspect(suspects)

    async def _look_at(self, suspects: set[UUID]) -> None:
        good = await self._keys.look_again(suspects) if suspects else {}
        for key_id in suspects:
            for held in tuple(self._open.get(key_id, ())):
                held.renew(good.get(key_id))
