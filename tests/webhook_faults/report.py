"""What a fault run of webhooks has shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHOWN_OF_A_KIND = 5


@dataclass(frozen=True, kw_only=True)
class Report:
    seed: int
    faults: Mapping[str, int]
    fault_log: Sequence[str]
    runs: int
    #: Deliveries by how they ended.
    ends: Mapping[str, int]
    attempts: int
    interrupted: int
    requests: int
    #: Successes of deliveries that had succeeded before their sender died.
    repeated: int
    #: Endpoints disabled, by 410 or by days of failure.
    disabled: int
    #: Requests that came where only redirects lead.
    redirected: int
    hours: float
    poured_megabytes: float
    #: By how much a worker's main process grew, the most of all.
    grown_megabytes: float
    problems: Mapping[str, Sequence[str]]

    @property
    def is_good(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        rows = [
            ("seed", self.seed),
            ("faults injected", sum(self.faults.values())),
            *((f"  {kind}", count) for kind, count in sorted(self.faults.items())),
            ("runs settled", self.runs),
            ("deliveries", sum(self.ends.values())),
            *((f"  {end}", count) for end, count in sorted(self.ends.items())),
            ("attempts", self.attempts),
            ("  interrupted", self.interrupted),
            ("requests that receivers got", self.requests),
            ("  of deliveries that had been accepted", self.repeated),
            ("requests where redirects lead", self.redirected),
            ("endpoints disabled", self.disabled),
            ("hours that passed", f"{self.hours:,.1f}"),
            ("MB poured by endless answers", f"{self.poured_megabytes:,.0f}"),
            ("MB that a worker's main process grew by", f"{self.grown_megabytes:.0f}"),
            ("verdict", "good" if self.is_good else "BROKEN"),
        ]
        lines = [f"{name:<50} {value}" for name, value in rows]
        for name, texts in self.problems.items():
            lines += [f"{name}: {len(texts)}", *(f"  {text}" for text in texts[:SHOWN_OF_A_KIND])]
        return "\n".join(lines)
