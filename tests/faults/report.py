"""What a fault run has shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.checks import SHOWN_OF_A_KIND

LINES_OF_A_LOG = 40


@dataclass(frozen=True, kw_only=True)
class Report:
    seed: int
    broker: str
    faults: Mapping[str, int]
    fault_log: Sequence[str]
    runs: int
    tests: int
    chords: int
    tasks: int
    lost: int
    duplicated: int
    #: Lanes that were silent for so long that their run got new ones.
    lanes_replaced: int
    #: Tasks executed more than once, because a child died between what they did and its record.
    executed_again: int
    watched_events: int
    connections_resumed: int
    #: Seconds from the last fault until nothing was open; nothing if that never came.
    settled_after: float | None
    problems: Mapping[str, Sequence[str]]

    @property
    def is_good(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        settled = "never" if self.settled_after is None else f"{self.settled_after:.1f} s"
        rows = [
            ("seed", self.seed),
            ("broker", self.broker),
            ("faults injected", sum(self.faults.values())),
            *((f"  {kind}", count) for kind, count in sorted(self.faults.items())),
            ("runs", self.runs),
            ("tests", self.tests),
            ("tests lost", self.lost),
            ("results duplicated", self.duplicated),
            ("chords", self.chords),
            ("plain tasks", self.tasks),
            ("lanes replaced by new ones", self.lanes_replaced),
            ("tasks executed again after a kill", self.executed_again),
            ("events watched, in order and once each", self.watched_events),
            ("streams resumed", self.connections_resumed),
            ("settled after the last fault", settled),
            ("verdict", "good" if self.is_good else "BROKEN"),
        ]
        lines = [f"{name:<40} {value}" for name, value in rows]
        return "\n".join([*lines, *self._problem_lines()])

    def _problem_lines(self) -> list[str]:
        lines = []
        for name, texts in self.problems.items():
            lines += [f"{name}: {len(texts)}", *(f"  {text}" for text in texts[:SHOWN_OF_A_KIND])]
        return lines


def evidence(folder: Path, report: Report) -> list[str]:
    """What the processes said of the runs and tasks that something is wrong with."""
    wrong = "\n".join(text for texts in report.problems.values() for text in texts[:SHOWN_OF_A_KIND])
    named = set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", wrong))
    shown = []
    for log in sorted(folder.glob("*.log")):
        lines = [line for line in log.read_text().splitlines() if any(name in line for name in named)]
        shown += [f"{log.name}: {line}" for line in lines[-LINES_OF_A_LOG:]]
    return shown
