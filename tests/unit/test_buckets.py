"""Token buckets: what may be asked for at once, and when there is more."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.quotas.buckets import Buckets, Rate
from tests.clock import Clock

SLOW = Rate(per_second=2, burst=3)


def test_a_full_bucket_gives_its_burst_at_once_and_then_tells_how_long_to_wait() -> None:
    buckets: Buckets[str] = Buckets(10, Clock())
    for left in (3, 2, 1):
        level = buckets.level("a", SLOW)
        assert (level.tokens, level.wait) == (left, 0)
        buckets.take("a", SLOW)
    level = buckets.level("a", SLOW)
    assert (level.tokens, round(level.wait, 3), round(level.until_full, 3)) == (0, 0.5, 1.5)
    assert buckets.level("b", SLOW).tokens == 3


def test_tokens_come_back_evenly_and_no_more_than_the_burst() -> None:
    clock = Clock()
    buckets: Buckets[str] = Buckets(10, clock)
    for _ in range(3):
        buckets.take("a", SLOW)
    seen = []
    for _ in range(5):
        clock.now += 0.5
        seen.append(buckets.level("a", SLOW).tokens)
    assert seen == [1, 2, 3, 3, 3]


@given(st.floats(0.01, 10_000), st.integers(1, 10_000), st.integers(1, 50), st.floats(0, 1e7))
def test_after_the_wait_there_is_a_token_and_shortly_before_there_is_none(
    per_second: float, burst: int, beyond: int, now: float
) -> None:
    clock, rate = Clock(), Rate(per_second, burst)
    clock.now = now
    buckets: Buckets[str] = Buckets(1, clock)
    for _ in range(min(burst, 100) + beyond):
        if buckets.level("a", rate).wait > 0:
            break
        buckets.take("a", rate)
    wait = buckets.level("a", rate).wait
    clock.now = now + wait * 0.9
    # A wait for less of a token than this is what a clock's numbers cannot tell apart.
    assert wait * per_second < 1e-3 or buckets.level("a", rate).tokens == 0
    clock.now = now + math.ceil(wait)
    assert buckets.level("a", rate).tokens >= 1
    assert buckets.level("a", rate).wait == 0


def test_the_bucket_that_was_used_least_recently_is_forgotten_when_there_are_too_many() -> None:
    buckets: Buckets[str] = Buckets(2, Clock())
    for key in ("a", "b", "a", "c"):
        buckets.take(key, SLOW)
    assert [buckets.level(key, SLOW).tokens for key in "abc"] == [1, 3, 2]
