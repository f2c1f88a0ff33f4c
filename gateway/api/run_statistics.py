"""`/v1/test-runs/{id}/statistics`: what a run's results add up to, computed by the database in one statement."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Links, Out, answer
from gateway.api.paging import not_found, path_uuid
from gateway.api.test_runs import WHAT, duration_seconds
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.states import RunStatus
from workerapp.db.statements import clause
from workerapp.db.tenant import tenant_transaction

CONFIDENCE = 0.95
#: How many standard deviations around the mean of a normal distribution hold 95 % of it.
_Z = 1.959963984540054

_STATEMENT = clause("statistics", "of_run").columns(
    latency=JSONB, metrics=JSONB, http_statuses=JSONB, error_codes=JSONB, tags=JSONB, repeats=JSONB
)


class Judged(Out):
    """The tests that passed or failed, and the interval that their pass rate holds for."""

    tests: int
    passed: int
    pass_rate: float | None
    lower: float | None
    upper: float | None
    confidence: float


class LatencyStatistics(Out):
    """Milliseconds of the tests that were asked."""

    tests: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class MetricStatistics(Out):
    """What one metric said of all answers; `unjudged` are those it could not judge."""

    name: str
    type: str
    passed: int
    failed: int
    unjudged: int
    mean_score: float | None


class HttpStatusCount(Out):
    """How many tests ended with an HTTP status."""

    http_status: int
    tests: int


class ErrorCodeCount(Out):
    """How many tests ended with an error."""

    code: str
    tests: int


class TagStatistics(Out):
    """What came of the tests with a tag, and the interval of their pass rate."""

    tag: str
    tests: int
    passed: int
    failed: int
    errored: int
    pass_rate: float | None
    lower: float | None
    upper: float | None


class FlakyTest(Out):
    """A test that passed now and failed then; the input is cut off."""

    test_id: UUID
    position: int
    input: str
    judged: int
    passed: int
    pass_rate: float


class RepeatStatistics(Out):
    """The tests by what came of their repeats, of those that were judged."""

    tests: int
    always_passed: int
    always_failed: int
    flaky: int
    flaky_tests: list[FlakyTest]


class RunStatistics(Out):
    """A run in numbers."""

    test_run_id: UUID
    status: RunStatus
    total: int | None
    pending: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    unscored: int
    judged: Judged
    duration_seconds: float | None
    tests_per_second: float | None
    latency_ms: LatencyStatistics | None
    metrics: list[MetricStatistics]
    http_statuses: list[HttpStatusCount]
    error_codes: list[ErrorCodeCount]
    tags: list[TagStatistics]
    repeats: RepeatStatistics | None
    links: Links


async def get_run_statistics(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = path_uuid(request, "test_run_id", WHAT)
    parameters = {
        "run": key,
        "organization_id": caller.organization_id,
        "groups": services.settings.max_statistics_groups,
        "excerpt": services.settings.excerpt_length,
    }
    async with tenant_transaction(services.engine, caller) as connection:
        row = (await connection.execute(_STATEMENT, parameters)).one_or_none()
    if row is None:
        raise not_found(WHAT, key)
    return answer(_statistics(row))


def wilson_interval(passed: int, tests: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.

    With p = passed / n: (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n). It stays within 0 and 1 and is of use for
    few tests and for rates near 0 and 1 too, where p ± z √(p(1 - p)/n) is not.
    """
    rate, share = passed / tests, _Z * _Z / tests
    middle = rate + share / 2
    half = _Z * math.sqrt(rate * (1 - rate) / tests + share / (4 * tests))
    return max(0.0, (middle - half) / (1 + share)), min(1.0, (middle + half) / (1 + share))


def _statistics(row: Any) -> RunStatistics:
    path = f"/v1/test-runs/{row.id}"
    duration = duration_seconds(row.started_at, row.finished_at)
    executed = row.passed + row.failed + row.errored + row.unscored
    counts = ("status", "pending", "passed", "failed", "errored", "cancelled", "unscored")
    return RunStatistics(
        **{name: getattr(row, name) for name in counts},
        test_run_id=row.id,
        total=row.planned,
        judged=_judged(row.passed, row.passed + row.failed),
        duration_seconds=duration,
        tests_per_second=round(executed / duration, 3) if duration else None,
        latency_ms=_latency(row.latency),
        metrics=[MetricStatistics(**metric | {"mean_score": _rounded(metric["mean_score"])}) for metric in row.metrics],
        http_statuses=[HttpStatusCount(**group) for group in row.http_statuses],
        error_codes=[ErrorCodeCount(**group) for group in row.error_codes],
        tags=[_tag(group) for group in row.tags],
        repeats=None if row.repeats is None else _repeats(row.repeats),
        links={"self": f"{path}/statistics", "test_run": path},
    )


def _judged(passed: int, tests: int) -> Judged:
    lower, upper = wilson_interval(passed, tests) if tests else (None, None)
    return Judged(
        tests=tests,
        passed=passed,
        pass_rate=round(passed / tests, 6) if tests else None,
        lower=_rounded(lower),
        upper=_rounded(upper),
        confidence=CONFIDENCE,
    )


def _tag(group: dict[str, Any]) -> TagStatistics:
    judged = _judged(group["passed"], group["passed"] + group["failed"])
    return TagStatistics(**group, pass_rate=judged.pass_rate, lower=judged.lower, upper=judged.upper)


def _repeats(row: dict[str, Any]) -> RepeatStatistics:
    flaky = [FlakyTest(**test, pass_rate=round(test["passed"] / test["judged"], 6)) for test in row["flaky_tests"]]
    return RepeatStatistics(**row | {"flaky_tests": flaky})


def _latency(row: dict[str, Any] | None) -> LatencyStatistics | None:
    if row is None:
        return None
    p50, p90, p95, p99 = (round(value, 3) for value in row["percentiles"])
    mean, most = round(row["mean"], 3), round(row["max"], 3)
    return LatencyStatistics(tests=row["tests"], mean=mean, p50=p50, p90=p90, p95=p95, p99=p99, max=most)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
