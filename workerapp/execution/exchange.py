"""What goes into a target and what comes out: one test's question and its answer."""

from __future__ import annotations

from collections.abc import Mapping
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

    def variables(self, *, system: str | None = None, with_conversation: bool = True) -> dict[str, Any]:
        """The request template's variables; `input` is the last user message of a conversation.

        `system` becomes the first message, unless the conversation has a system message of its own. The conversation's
        id costs 5 µs and may be left out.
        """
        if isinstance(self.input, str):
            last: Any = self.input
            messages = [{"role": "user", "content": self.input}]
        else:
            messages = self.input
            last = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
        if system is not None and not any(m["role"] in _SYSTEM_ROLES for m in messages):
            messages = [{"role": "system", "content": system}, *messages]
        variables = {
            "input": last,
            "messages": messages,
            "metadata": self.metadata,
            "test_id": str(self.test_id),
            "test_run_id": str(self.test_run_id),
        }
        if with_conversation:
            # Every test is a conversation of its own, and the same one however often it is asked.
            variables["conversation_id"] = str(uuid5(self.test_run_id, str(self.test_id)))
        return variables


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
