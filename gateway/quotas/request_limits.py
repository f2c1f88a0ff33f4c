"""How many requests an organization and each of its keys may make, and what every answer tells of that.

The headers are those of draft-ietf-httpapi-ratelimit-headers (its form with lists of named policies).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias
from uuid import UUID

from starlette.requests import HTTPConnection

from gateway.metrics import Metrics
from gateway.quotas.buckets import Buckets, Clock, Level, Rate
from gateway.quotas.plan import Plan
from gateway.quotas.plan_finder import PlanFinder
from gateway.quotas.refusals import Limit, RateLimited
from gateway.transport.answer_headers import RATE_LIMIT
from workerapp.contract.caller import Caller

#: Those of more organizations and keys are forgotten, which makes them full.
_MOST_BUCKETS = 100_000
_ORGANIZATION, _KEY = "organization", "key"
_WHO = {_ORGANIZATION: "Your organization", _KEY: "This key"}
_LIMITS = {_ORGANIZATION: Limit.ORGANIZATION_REQUESTS, _KEY: Limit.KEY_REQUESTS}

_Key: TypeAlias = UUID | tuple[UUID, str | None]
#: Whose bucket, and how fast it gets full, by the name of the policy.
_Rates: TypeAlias = Mapping[str, tuple[_Key, Rate]]


class RequestLimits:
    """The buckets of one gateway process: another process has others."""

    def __init__(self, plans: PlanFinder, metrics: Metrics, clock: Clock) -> None:
        self._plans = plans
        self._metrics = metrics
        self._buckets: Buckets[_Key] = Buckets(_MOST_BUCKETS, clock)

    async def admit(self, connection: HTTPConnection, caller: Caller) -> Plan:
        """Count a request of the caller's; the plan by which it is admitted.

        Raises:
            RateLimited: it is one too many; nothing was counted.
        """
        plan = await self._plans.find(caller)
        rates = _rates(plan, caller)
        wait, policy = max((self._buckets.level(*rate).wait, policy) for policy, rate in rates.items())
        if wait > 0:
            raise self._refusal(connection, rates, policy, math.ceil(wait))
        for key, rate in rates.values():
            self._buckets.take(key, rate)
        setattr(connection.state, RATE_LIMIT, self._headers(rates, {}))
        return plan

    def _refusal(self, connection: HTTPConnection, rates: _Rates, policy: str, seconds: int) -> RateLimited:
        setattr(connection.state, RATE_LIMIT, self._headers(rates, {policy: seconds}))
        self._metrics.reach(_LIMITS[policy])
        _, rate = rates[policy]
        return RateLimited(
            f"{_WHO[policy]} may make {rate.per_second:g} requests a second, and {rate.burst} at once; try again after"
            f" {seconds} s.",
            seconds,
        )

    def _headers(self, rates: _Rates, waits: Mapping[str, int]) -> dict[str, str]:
        levels = {policy: self._buckets.level(key, rate) for policy, (key, rate) in rates.items()}
        return {
            "RateLimit": ", ".join(_left(policy, level, waits.get(policy)) for policy, level in levels.items()),
            "RateLimit-Policy": ", ".join(_policy(policy, rate) for policy, (_, rate) in rates.items()),
        }


def _rates(plan: Plan, caller: Caller) -> _Rates:
    """Whose buckets the request is taken from, by the names of the policies."""
    rates: dict[str, tuple[_Key, Rate]] = {_ORGANIZATION: (caller.organization_id, plan.rate)}
    if plan.key_rate is not None:
        # Who has no key has shown a token of an identity provider, which has no other name.
        rates[_KEY] = (caller.key_id or (caller.organization_id, caller.subject), plan.key_rate)
    return rates


def _left(policy: str, level: Level, wait: int | None) -> str:
    """`t` is the time until all is there again, or, of a request that is refused, until it is admitted."""
    return f'"{policy}";r={level.tokens};t={math.ceil(level.until_full) if wait is None else wait}'


@cache
def _policy(policy: str, rate: Rate) -> str:
    """What there is at once, and the time in which an empty bucket gets full."""
    return f'"{policy}";q={rate.burst};w={max(math.ceil(rate.burst / rate.per_second), 1)}'
