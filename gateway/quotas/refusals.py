"""Refusals of what an organization, a key or an address asks for too often or too much of."""

from __future__ import annotations

from enum import StrEnum

from gateway.errors import ApiError


class Limit(StrEnum):
    """What was reached; a label of metrics."""

    ORGANIZATION_REQUESTS = "organization_requests"
    KEY_REQUESTS = "key_requests"
    FAILED_ATTEMPTS = "failed_attempts"
    RUNS = "runs"
    QUEUED_TESTS = "queued_tests"
    QUEUED_TASKS = "queued_tasks"


class LimitReached(ApiError):
    """It will be possible again."""

    status = 429

    def __init__(self, detail: str, retry_after: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class RateLimited(LimitReached):
    """The organization or the key asks too often."""

    code, title = "rate_limited", "Too many requests"


class TooManyFailedAttempts(LimitReached):
    """From this address came too many keys and tokens that are not good."""

    code, title = "too_many_failed_attempts", "Too many failed attempts"


class TooManyRuns(LimitReached):
    """The organization has as many open runs as it may."""

    code, title = "too_many_runs", "Too many runs are open"


class TooManyQueuedTests(LimitReached):
    """As many tests of the organization wait as may."""

    code, title = "too_many_queued_tests", "Too many tests are waiting"


class TooManyQueuedTasks(LimitReached):
    """As many tasks of the organization are open as may be."""

    code, title = "too_many_queued_tasks", "Too many tasks are open"
