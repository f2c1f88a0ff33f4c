"""What goes into a target and what comes out: one test's question and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from workerapp.contract.reasons import ErrorReason

_SYSTEM_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The part of a test that an endpoint may see. `input` is a text or a list of messages {role, content}."""

    test_id: UUID
    test_run_id: UUID
    input: str | list[dict[str, Any]]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    #: Which of the test's executions in the run this is.
    repeat: int = 1
    #: The messages of the turns before this one.
    history: Sequence[dict[str, Any]] = ()
    turn: int = 1
    #: What the application itself calls the conversation, once it has said so.
    conversation_id: Any = None

    def variables(self, *, system: str | None = None, with_conversation: bool = True) -> dict[str, Any]:
        """The request template's variables; `input` is the last user message of what this turn asks.

        `system` becomes the first message, unless the conversation has a system message of its own. The conversation's
        id costs 5 µs and may be left out.
        """
        asked = as_messages(self.input)
        last = next((m["content"] for m in reversed(asked) if m["role"] == "user"), "")
        messages = [*self.history, *asked]
        if system is not None and not any(m["role"] in _SYSTEM_ROLES for m in messages):
            messages = [{"role": "system", "content": system}, *messages]
        variables = {
            "input": last,
            "messages": messages,
            "turn": self.turn,
            "metadata": self.metadata,
            "test_id": str(self.test_id),
            "test_run_id": str(self.test_run_id),
        }
        if with_conversation:
            # Every execution of a test is a conversation of its own, and the same one however often it is asked.
            name = str(self.test_id) if self.repeat == 1 else f"{self.test_id}/{self.repeat}"
            ours = str(uuid5(self.test_run_id, name))
            variables["conversation_id"] = ours if self.conversation_id is None else self.conversation_id
        return variables


def as_messages(asked: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of an input; a text is what a user says."""
    return [{"role": "user", "content": asked}] if isinstance(asked, str) else asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An output, or an error and no output. `latency_ms` is that of the last request.

    `attempts` counts requests, without those that were turned away by a rate limit.
    """

    output: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    http_status: int | None = None
    latency_ms: float | None = None
    attempts: int = 0
    error: ErrorReason | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "extra": dict(self.extra),
            "http_status": self.http_status,
            "latency_ms": self.latency_ms,
            "attempts": self.attempts,
            "error": None if self.error is None else self.error.as_json(),
        }
