"""The states of tasks, runs and results, and which of them are final."""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """Celery's own states; a task may also report a custom one, which counts as running."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"


class RunStatus(StrEnum):
    """How far a test run is; also the states of a run group."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ResultStatus(StrEnum):
    """The outcome of one test; `fail` is a wrong answer, `error` a test that could not be executed or judged."""

    PENDING = "pending"
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    ERROR = "error"
    UNSCORED = "unscored"
    CANCELLED = "cancelled"


FINAL_TASK_STATES = frozenset({TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED})
FINAL_RUN_STATUSES = frozenset({RunStatus.COMPLETED, RunStatus.PARTIAL, RunStatus.FAILED, RunStatus.CANCELLED})
