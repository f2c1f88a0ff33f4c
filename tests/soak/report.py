"""What a soak has shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.soak.truth import Difference

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Report:
    seed: int
    seconds: float
    organizations: int
    watchers: Mapping[str, int]
    events: int
    #: Transactions and savepoints that writers took back, and how many events tell of them.
    rolled_back: int
    left_behind: int
    deliveries: int
    resumes: int
    #: Why connections ended.
    ends: Mapping[str, int]
    faults: Mapping[str, int]
    fault_log: Sequence[str]
    difference: Difference
    problems: Sequence[str]

    @property
    def is_good(self) -> bool:
        return self.difference == Difference() and not self.left_behind and not self.problems

    def __str__(self) -> str:
        rows = [
            ("seed", self.seed),
            ("seconds", f"{self.seconds:.0f}"),
            ("organizations", self.organizations),
            ("clients", sum(self.watchers.values())),
            *_counts(self.watchers),
            ("faults injected", sum(self.faults.values())),
            *_counts(self.faults),
            ("events", self.events),
            ("deliveries", self.deliveries),
            ("resumes", self.resumes),
            *_counts(self.ends),
            ("writes rolled back", self.rolled_back),
            ("events of what was rolled back", self.left_behind),
            ("lost", self.difference.lost),
            ("repeated", self.difference.repeated),
            ("out of order", self.difference.out_of_order),
            ("invented", self.difference.invented),
            ("verdict", "good" if self.is_good else "BROKEN"),
        ]
        lines = [f"{name:<40} {value}" for name, value in rows]
        return "\n".join([*lines, *self.problems[:SHOWN]])


def _counts(counted: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(f"  {name}", count) for name, count in sorted(counted.items())]
