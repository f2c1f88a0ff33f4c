"""Waiting for the end of something without a stream: `Prefer: wait`, asked again and again."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Generic

from gateway.client.calls import Call, Current, get
from gateway.client.errors import WaitTimedOut
from gateway.client.patience import Patience
from gateway.client.subject import HasSubject, Subject

#: The longest that a gateway waits, unless it is set otherwise.
LONGEST = 30.0
#: Between two questions to a gateway that did not wait, because it has too many streams and waits open.
_PAUSE = 1.0
#: What an answer may take on top of what was waited for.
_ON_TOP = 10.0


class Polling(Generic[Current]):
    """How far one wait is."""

    def __init__(self, followed: HasSubject[Current], every: float = LONGEST, within: float | None = None) -> None:
        self._subject: Subject[Current] = followed.subject
        self._every = every
        self._until = None if within is None else time.monotonic() + within
        self._asked_at = 0.0

    def call(self) -> Call[Current]:
        """The next question."""
        self._asked_at = time.monotonic()
        seconds = int(self._wait())
        call = replace(get(self._subject), seconds=seconds + _ON_TOP)
        return replace(call, headers={"Prefer": f"wait={seconds}"}) if seconds else call

    def pause(self, state: Current) -> float:
        """Seconds until the next question, if this answer was not the last.

        Raises:
            WaitTimedOut: there is no time for another one.
        """
        now = time.monotonic()
        if self._until is not None and now >= self._until:
            raise WaitTimedOut(f"{self._subject.path} has not ended in time; it is {state.status}")
        pause = max(0.0, min(self._every, _PAUSE) - (now - self._asked_at))
        return pause if self._until is None else min(pause, self._until - now)

    def outage(self, patience: Patience) -> float:
        """How long a server that was there may be away."""
        return patience.outage if self._until is None else min(patience.outage, self._until - self._asked_at)

    def _wait(self) -> float:
        if self._until is None:
            return self._every
        return min(self._every, max(self._until - self._asked_at, 0.0))
