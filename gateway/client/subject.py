"""What can be followed and waited for: a task, a run or a group of runs, by its path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

State_co = TypeVar("State_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Subject(Generic[State_co]):
    """Where it is, and as what it is read."""

    path: str
    kind: type[State_co]

    @property
    def subject(self) -> Subject[State_co]:
        """Itself: whatever takes a subject takes what has one."""
        return self


class HasSubject(Protocol[State_co]):
    """A subject, or what was answered about one: a submission, or a state of it."""

    @property
    def subject(self) -> Subject[State_co]: ...
