"""What a stream is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SubjectKind(StrEnum):
    """What can have events of its own."""

    TASK = "task"
    TEST_RUN = "test_run"
    RUN_GROUP = "run_group"


@dataclass(frozen=True, slots=True)
class Subject:
    """One task, test run or run group."""

    kind: SubjectKind
    id: str
