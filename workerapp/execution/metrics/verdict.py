"""What judging an answer gives: one score a metric, and the verdict they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workerapp.contract.metric import Origin
from workerapp.contract.states import ResultStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric's judgement; `score` and `passed` are None when it could not judge, and `reason` says why."""

    name: str
    type: str
    #: Where it judged a single turn of the test, which one.
    turn: int | None = None
    score: float | None
    passed: bool | None
    threshold: float | None
    reason: str | None
    duration_ms: float
    #: The named metric that judged, if it was one.
    origin: Origin | None = None

    @property
    def sentence(self) -> str:
        """The reason, with what it is said of."""
        where = "" if self.turn is None else f"turn {self.turn}: "
        return f"{where}{self.name}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """With `metric_id` and `metric_version` if it is of a named metric."""
        fields = {
            "name": self.name,
            "type": self.type,
            "turn": self.turn,
            "score": self.score,
            "passed": self.passed,
            "threshold": self.threshold,
            "reason": self.reason,
            "duration_ms": self.duration_ms,
        }
        if self.origin is None:
            return fields
        return fields | {"metric_id": str(self.origin.metric_id), "metric_version": self.origin.version}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Pass, fail, error or unscored; `score` is the weighted mean, `reason` that of the metric that decided."""

    status: ResultStatus
    scores: tuple[Score, ...] = ()
    score: float | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status.value,
            "score": self.score,
            "reason": self.reason,
            "scores": [score.as_json() for score in self.scores],
        }
