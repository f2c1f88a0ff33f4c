"""What a judge is shown of one answer: what was asked, what is expected, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from workerapp.contract.judges import Part
from workerapp.execution.exchange import Answer, Question
from workerapp.execution.metrics.finding import Answered, JudgingLimits

CONTEXT = "context"
#: Where the template of a judge's request finds what is ours in it, beside the test's metadata.
REQUEST = "judge_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test and an answer to it; `turn` if a single turn of it is judged."""

    test_id: UUID
    test_run_id: UUID
    turn: int | None = None
    #: Of a test of several turns: the messages of the conversation, up to what the turn asked.
    input: Any
    expected: Any
    metadata: Mapping[str, Any]
    answer: Answer

    @property
    def output(self) -> Any:
        return self.answer.output

    @property
    def context(self) -> Any:
        """What the application says it answered by, in a field of that name; otherwise that of the metadata."""
        return self.answer.extra.get(CONTEXT, self.metadata.get(CONTEXT))

    @property
    def missing(self) -> str | None:
        """Why there is no output, where the endpoint answered with nothing but a status."""
        return None if self.answer.error is None else self.answer.error.message

    def part(self, name: Part) -> Any:
        """One of the things a judge may be shown; None if there is no such thing."""
        return getattr(self, name)

    def answered(self, limits: JudgingLimits) -> Answered:
        """What is judged by arithmetic."""
        return Answered(
            output=self.output,
            extra=self.answer.extra,
            expected=self.expected,
            latency_ms=self.answer.latency_ms,
            http_status=self.answer.http_status,
            missing=self.missing,
            limits=limits,
        )

    def as_json(self) -> dict[str, Any]:
        """All of it, as a service is sent it."""
        return {
            "test_id": str(self.test_id),
            "test_run_id": str(self.test_run_id),
            "turn": self.turn,
            "input": self.input,
            "output": self.output,
            "expected": self.expected,
            "context": self.context,
            "metadata": dict(self.metadata),
        }

    def question(self, asked: str | list[dict[str, Any]], request: Any) -> Question:
        """What a judge's endpoint is asked; its own templates see the test's metadata too."""
        return Question(
            test_id=self.test_id,
            test_run_id=self.test_run_id,
            input=asked,
            metadata={**self.metadata, REQUEST: request},
        )
