"""Snapshots of the database: which transactions had ended at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

#: The highest transaction id and event id there can be; the lowest is 1.
MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A `pg_snapshot`: transactions below `xmin` had ended, those from `xmax` on had not begun, `xip` were at work.

    Raises:
        ValueError: the parts contradict each other.
    """

    xmin: int
    xmax: int
    #: Ascending, from `xmin` on and below `xmax`.
    xip: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        bounds = (self.xmin - 1, *self.xip, self.xmax)
        if not 1 <= self.xmin <= self.xmax <= MOST or any(a >= b for a, b in pairwise(bounds)):
            raise ValueError("these are not the parts of a snapshot")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the database's form, `xmin:xmax:xip,xip`."""
        xmin, xmax, xip = text.split(":")
        return cls(int(xmin), int(xmax), tuple(map(int, xip.split(","))) if xip else ())

    def __str__(self) -> str:
        """The database's form."""
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.xip))}"

    def sees(self, xid: int) -> bool:
        """Whether what this transaction wrote is seen, if it was not rolled back."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.xip)

    def covers(self, other: Snapshot) -> bool:
        """Whether it sees everything the other one sees: of one primary's snapshots, whether it is as late or later."""
        unseen_here = set(range(self.xmax, min(other.xmax, self.xmax + len(other.xip) + 1)))
        unseen_here.update(xid for xid in self.xip if xid < other.xmax)
        return unseen_here <= set(other.xip)
