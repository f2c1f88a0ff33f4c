"""One test, executed: the endpoint is asked, the answer judged, and the row of its result made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from workerapp.contract.endpoint_secrets import reveal_secrets
from workerapp.contract.metrics import HttpStatus, Metric
from workerapp.contract.reasons import ErrorCode
from workerapp.contract.specs import ConfigurationSpec
from workerapp.contract.states import ResultStatus
from workerapp.db.sealing import SealingUnavailable
from workerapp.execution.credentials import TokenCache, TokenLimits
from workerapp.execution.exchange import Answer, Question
from workerapp.execution.metrics.evaluate import evaluate
from workerapp.execution.metrics.finding import Answered, JudgingLimits
from workerapp.execution.metrics.verdict import Verdict
from workerapp.execution.plan import RESCORE_OF
from workerapp.execution.target import Target, TargetLimits
from workerapp.settings import WorkerSettings

logger = logging.getLogger(__name__)

NOT_EXECUTED = {"code": "internal", "message": "The test could not be executed; the worker's log says why."}
HEADERS_SEALED = {
    "code": "headers_sealed",
    "message": "The worker has no key that opens the endpoint's stored headers (GATEWAY_SECRET_KEYS).",
}

#: Longer outputs, and all that are held against a schema, are judged beside the event loop. It costs 0.07 ms more, and
#: a schema may take a second in which no other answer of the lane would be read, or its time taken.
SHORT_OUTPUT = 5_000

_METRICS: TypeAdapter[list[Metric]] = TypeAdapter(list[Metric])


@dataclass(frozen=True, kw_only=True, slots=True)
class LeasedTest:
    """A test as its row has it."""

    id: UUID
    input: Any
    expected: Any
    assertions: Sequence[Any]
    metadata: Mapping[str, Any]
    #: What the endpoint answered in another run, if that is to be judged again.
    output: Mapping[str, Any] | None = None
    latency_ms: float | None = None
    http_status: int | None = None
    error: Mapping[str, Any] | None = None


class Trials:
    """Executes tests of one run against its endpoint; without one the answers are those that the tests have."""

    def __init__(
        self, target: Target | None, configuration: ConfigurationSpec, test_run_id: UUID, limits: JudgingLimits
    ) -> None:
        self._target = target
        self._configuration = configuration
        self._test_run_id = test_run_id
        self._limits = limits
        # The arithmetic holds the interpreter, so a second thread would only make the first one slower.
        self._bench = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge")

    def close(self) -> None:
        """Judge nothing more; what is being judged does not hold up the end."""
        self._bench.shutdown(wait=False, cancel_futures=True)

    async def execute(self, test: LeasedTest) -> dict[str, Any]:
        """Ask and judge; the result is a row for `record_results`, whatever went wrong."""
        try:
            if self._target is None and test.error is not None:
                return _unanswered_before(test)
            answer = await self._ask(test)
            own = _METRICS.validate_python(test.assertions) if test.assertions else []
            metrics = [*own, *self._configuration.metrics]
            if answer.error is not None and not _is_asked_for(answer, metrics):
                return _unanswered(test, answer)
            return _judged(test, answer, await self._judge(metrics, test, answer))
        except Exception:
            # One test must not take its lane along; what is wrong with it is ours to read.
            fields = {"test_id": str(test.id), "test_run_id": str(self._test_run_id)}
            logger.exception("test_not_executed", extra=fields)
            return _row(test, ResultStatus.ERROR, error=NOT_EXECUTED)

    async def _ask(self, test: LeasedTest) -> Answer:
        if self._target is None:
            # Nothing here waits, and the lane has other things to do too.
            await asyncio.sleep(0)
            return _answered_before(test)
        question = Question(test_id=test.id, test_run_id=self._test_run_id, input=test.input, metadata=test.metadata)
        return await self._target.ask(question)

    async def _judge(self, metrics: Sequence[Metric], test: LeasedTest, answer: Answer) -> Verdict:
        answered = Answered(
            output=answer.output,
            extra=answer.extra,
            expected=test.expected,
            latency_ms=answer.latency_ms,
            http_status=answer.http_status,
            missing=None if answer.error is None else answer.error.message,
            limits=self._limits,
        )
        judge = partial(evaluate, metrics, answered, pass_threshold=self._configuration.pass_threshold)
        if len(answered.text) <= SHORT_OUTPUT and not any(metric.type == "json_schema" for metric in metrics):
            return judge()
        return await asyncio.get_running_loop().run_in_executor(self._bench, judge)


class Unopened:
    """Stands in for an endpoint that cannot be asked, whoever tries: every test tells why, and the run settles."""

    def __init__(self, error: dict[str, Any]) -> None:
        self._error = error

    async def execute(self, test: LeasedTest) -> dict[str, Any]:
        """The result of a test that was not asked."""
        return _row(test, ResultStatus.ERROR, error=self._error)


@asynccontextmanager
async def open_trials(
    start: Mapping[str, Any], settings: WorkerSettings, test_run_id: UUID, tokens: TokenCache | None = None
) -> AsyncIterator[Trials | Unopened]:
    """Open the run's endpoint for a lane.

    `start` has the run's snapshot, the secrets that are not in it, and the lane's share of the endpoint's rate.
    """
    snapshot, sealed_headers = start["snapshot"], start["sealed_headers"]
    configuration = ConfigurationSpec.model_validate(snapshot["configuration"])
    if RESCORE_OF in snapshot:
        with closing(Trials(None, configuration, test_run_id, judging_limits(settings))) as trials:
            yield trials
        return
    try:
        opened = None if sealed_headers is None else settings.sealer.open(sealed_headers)
    except SealingUnavailable as error:
        logger.error("endpoint_not_opened", extra={"test_run_id": str(test_run_id), "reason": str(error)})  # noqa: TRY400 - the reason says it all
        yield Unopened(HEADERS_SEALED)
        return
    endpoint = reveal_secrets(snapshot["endpoint"], opened)
    target = Target(
        endpoint,
        settings.outbound,
        per_test_timeout=configuration.per_test_timeout,
        requests_per_second=endpoint.requests_per_second and endpoint.requests_per_second * start["share"],
        limits=target_limits(settings),
        tokens=tokens,
    )
    async with target:
        with closing(Trials(target, configuration, test_run_id, judging_limits(settings))) as trials:
            yield trials


def _is_asked_for(answer: Answer, metrics: Sequence[Metric]) -> bool:
    """Whether a status that is no success is judged all the same, because the test has metrics of the status.

    One that may go away by itself (408, 5xx) is an error still, unless one of the metrics names it.
    """
    named = {code for metric in metrics if isinstance(metric, HttpStatus) for code in metric.codes}
    if answer.error is None or answer.error.code is not ErrorCode.HTTP_STATUS or not named:
        return False
    return answer.http_status in named or not answer.error.retryable


def judging_limits(settings: WorkerSettings) -> JudgingLimits:
    """What judging may cost, as the operator has set it."""
    return JudgingLimits(
        pattern_seconds=settings.judging_pattern_seconds,
        schema_seconds=settings.judging_schema_seconds,
        test_seconds=settings.judging_test_seconds,
        text_length=settings.judging_text_length,
        json_length=settings.judging_json_length,
    )


def target_limits(settings: WorkerSettings) -> TargetLimits:
    """What the operator has set."""
    return TargetLimits(
        backoff_seconds=settings.target_backoff_seconds,
        backoff_max_seconds=settings.target_backoff_max_seconds,
        circuit_tests=settings.target_circuit_tests,
        token=TokenLimits(
            timeout=settings.target_token_seconds,
            max_bytes=settings.target_token_max_bytes,
            margin=settings.target_token_margin_seconds,
            lifetime=settings.target_token_lifetime_seconds,
        ),
    )


def output_of(answer: Answer) -> dict[str, Any] | None:
    """What is stored of an answer: the output, and beside it what else the mapping found."""
    return None if answer.error is not None else {"output": answer.output, **answer.extra}


def _answered_before(test: LeasedTest) -> Answer:
    """No request is made, so none is counted; how long the answer took is still true."""
    extra = dict(test.output or {})
    output = extra.pop("output", None)
    return Answer(output=output, extra=extra, http_status=test.http_status, latency_ms=test.latency_ms)


def _unanswered_before(test: LeasedTest) -> dict[str, Any]:
    asked = {"latency_ms": test.latency_ms, "http_status": test.http_status}
    return _row(test, ResultStatus.ERROR, error=dict(test.error or {})) | asked


def _unanswered(test: LeasedTest, answer: Answer) -> dict[str, Any]:
    assert answer.error is not None
    return _row(test, ResultStatus.ERROR, answer=answer, error=answer.error.as_json())


def _judged(test: LeasedTest, answer: Answer, verdict: Verdict) -> dict[str, Any]:
    error = None
    if verdict.status is ResultStatus.ERROR:
        error = {"code": "not_judged", "message": verdict.reason}
    return _row(test, verdict.status, answer=answer, verdict=verdict, error=error)


def _row(
    test: LeasedTest,
    status: ResultStatus,
    *,
    answer: Answer | None = None,
    verdict: Verdict | None = None,
    error: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "test_id": str(test.id),
        "status": status.value,
        "output": None if answer is None else output_of(answer),
        "scores": None if verdict is None else verdict.as_json(),
        "latency_ms": None if answer is None else answer.latency_ms,
        "attempts": 0 if answer is None else answer.attempts,
        "http_status": None if answer is None else answer.http_status,
        "error": error,
    }
