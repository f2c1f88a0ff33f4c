"""What restarts under load have shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.rolling.restarts import Restart
from tests.soak.truth import Difference

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Report:
    seed: int
    seconds: float
    restarts: Sequence[Restart]
    requests: int
    #: By what was asked, and how it failed.
    failures: Mapping[str, int]
    slowest: float
    slowest_name: str
    tasks: int
    runs: int
    streams: int
    resumptions: int
    #: Why connections of streams ended.
    ends: Mapping[str, int]
    longest_gap: float
    events: int
    deliveries: int
    difference: Difference
    executed_again: int
    problems: Sequence[str]

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def is_good(self) -> bool:
        """Whether no caller has noticed anything but streams that ended and were resumed."""
        return not self.failed and not self.executed_again and self.is_complete

    @property
    def is_complete(self) -> bool:
        """Whether nothing was lost or done wrongly, whatever requests have failed."""
        return self.difference == Difference() and not self.problems

    def __str__(self) -> str:
        rows = [
            ("seed", self.seed),
            ("seconds", f"{self.seconds:.0f}"),
            ("processes restarted", len(self.restarts)),
            ("requests", self.requests),
            ("requests failed", self.failed),
            *((f"  {name}", count) for name, count in sorted(self.failures.items())),
            ("slowest request", f"{self.slowest:.2f} s ({self.slowest_name})"),
            ("tasks", self.tasks),
            ("tasks executed again", self.executed_again),
            ("runs", self.runs),
            ("streams", self.streams),
            ("streams resumed", self.resumptions),
            *((f"  {name}", count) for name, count in sorted(self.ends.items())),
            ("longest time without a stream", f"{self.longest_gap:.2f} s"),
            ("events", self.events),
            ("deliveries", self.deliveries),
            ("lost", self.difference.lost),
            ("repeated", self.difference.repeated),
            ("out of order", self.difference.out_of_order),
            ("invented", self.difference.invented),
            ("verdict", "good" if self.is_good else "complete" if self.is_complete else "BROKEN"),
        ]
        lines = [f"{name:<40} {value}" for name, value in rows]
        return "\n".join([*map(str, self.restarts), *lines, *self.problems[:SHOWN]])
