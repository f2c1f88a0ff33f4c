"""Token buckets in memory: how much may be asked for at once, and how fast there is more.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm, GCRA): what is full
need not be remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)

#: More than what adding and subtracting times may lose, and less than anybody notices.
_NEARLY_NOTHING = 1e-6

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket has `burst` tokens when it is full, and gets `per_second` new ones."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Level:
    """How much is left; times are in seconds."""

    tokens: int
    #: Until there is one.
    wait: float
    until_full: float


class Buckets(Generic[_Key]):
    """The buckets of those who asked last; all others are full."""

    def __init__(self, size: int, clock: Clock) -> None:
        self._size = size
        self._clock = clock
        self._full_at: OrderedDict[_Key, float] = OrderedDict()

    def level(self, key: _Key, rate: Rate) -> Level:
        """How full the bucket is."""
        until_full = max(self._full_at.get(key, 0.0) - self._clock(), 0.0)
        tokens = rate.burst - until_full * rate.per_second + _NEARLY_NOTHING
        wait = 0.0 if tokens >= 1 else (1 - tokens) / rate.per_second
        return Level(max(int(tokens), 0), wait, until_full)

    def take(self, key: _Key, rate: Rate) -> None:
        """Take one token out of the bucket, also if there is none."""
        now = self._clock()
        self._full_at[key] = max(self._full_at.get(key, now), now) + 1 / rate.per_second
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._size:
            self._full_at.popitem(last=False)
