"""Attempts under way, and those that have ended and wait to be recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from workerapp.setting_groups import WebhookSettings
from workerapp.webhooks.attempt import Attempt, Claim, Outcome
from workerapp.webhooks.metrics import WebhookMetrics

logger = logging.getLogger(__name__)

BROKEN = "the attempt broke off by an error of the gateway's own; its log has it"


@dataclass(frozen=True, slots=True)
class _Landed:
    attempt: Attempt
    #: When the claim runs out, and the result is nobody's any more.
    until: float


class Flights:
    """Holds at most as many attempts as there are places, and few to those who are slow."""

    def __init__(
        self,
        attempt: Callable[[Claim], Awaitable[Attempt]],
        settings: WebhookSettings,
        metrics: WebhookMetrics,
        on_landing: Callable[[], None],
    ) -> None:
        self._attempt, self._settings, self._metrics, self._on_landing = attempt, settings, metrics, on_landing
        self._flying: dict[asyncio.Task[None], Claim] = {}
        self._landed: list[_Landed] = []

    def __len__(self) -> int:
        return len(self._flying)

    @property
    def places(self) -> int:
        """How many more may begin."""
        return self._settings.places - len(self._flying)

    @property
    def slow_places(self) -> int:
        """How many of them to endpoints that are slow or failing."""
        return max(self._settings.slow_places - sum(claim.slow for claim in self._flying.values()), 0)

    def begin(self, claims: Sequence[Claim], until: float) -> None:
        """Make attempts for claims that run out then."""
        for claim in claims:
            task = asyncio.create_task(self._fly(claim, until))
            self._flying[task] = claim
            task.add_done_callback(self._flying.pop)

    def landed(self) -> list[Attempt]:
        """What is to be recorded; what is too late for that is dropped, and counts as interrupted for who takes it."""
        now = monotonic()
        self._landed = [landed for landed in self._landed if landed.until > now]
        return [landed.attempt for landed in self._landed]

    def forget(self, recorded: Sequence[Attempt]) -> None:
        """What `landed` gave has been recorded."""
        del self._landed[: len(recorded)]

    async def break_off(self) -> list[Claim]:
        """End what is under way; its claims."""
        flying = dict(self._flying)
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
        return [claim for task, claim in flying.items() if task.cancelled()]

    async def _fly(self, claim: Claim, until: float) -> None:
        with self._metrics.under_way(claim):
            try:
                attempt = await self._attempt(claim)
            except Exception:
                logger.exception("webhook_attempt_broken", extra=claim.fields)
                attempt = Attempt(claim=claim, outcome=Outcome.FAILED, error=BROKEN)
        self._metrics.count(attempt)
        self._landed.append(_Landed(attempt, until))
        self._on_landing()
