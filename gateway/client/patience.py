"""How long a client tries again, and how long it pauses in between."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from gateway.client.errors import GatewayError, ServerUnreachable

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long to go on: `answer` seconds for one answer, `outage` seconds while a server that was there is away."""

    answer: float = 60.0
    outage: float = 60.0


@dataclass(slots=True)
class Contact:
    """Whether the server was there at all: one that never was is not waited for."""

    was_reached: bool = False


@dataclass(slots=True)
class Attempts:
    """The attempts of one request."""

    outage: float
    contact: Contact
    _began_at: float = field(default_factory=time.monotonic)
    _failures: int = 0

    def pause_after(self, failure: GatewayError) -> float:
        """Seconds until the next attempt.

        Raises:
            GatewayError: the failure itself, if it cannot pass or there was enough patience.
        """
        pause = max(backoff(_FIRST_PAUSE, self._failures, _LONGEST_PAUSE), failure.retry_after or 0.0)
        self._failures += 1
        is_known = self.contact.was_reached or not isinstance(failure, ServerUnreachable)
        gives_up_at = self._began_at + (self.outage if is_known else 0.0)
        if not failure.may_pass or time.monotonic() + pause > gives_up_at:
            raise failure
        return pause


def backoff(first: float, failures: int, longest: float) -> float:
    """Twice as long after each failure, and never quite the same, so that not all clients come back at once."""
    whole = min(first * 2.0 ** min(failures, 16), max(first, longest))
    return whole * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
