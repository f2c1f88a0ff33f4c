"""One test, executed: the endpoint is asked, the answer judged, and the row of its result made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from workerapp.contract.reasons import ErrorCode, ErrorReason
from workerapp.contract.specs import ConfigurationSpec
from workerapp.contract.states import ResultStatus
from workerapp.db.sealing import SealingUnavailable
from workerapp.execution.admission import Admission
from workerapp.execution.conversation import (
    TURNS,
    Criteria,
    Step,
    conversations,
    converse,
    name_turn,
    plan_steps,
    read_transcript,
    transcript,
)
from workerapp.execution.credentials import TokenCache, TokenLimits
from workerapp.execution.exchange import Answer, Question
from workerapp.execution.judges.case import Case
from workerapp.execution.judges.endpoints import FindEndpoint
from workerapp.execution.judges.panel import Panel
from workerapp.execution.judging import Hearing, Judging
from workerapp.execution.metrics.finding import JudgingLimits
from workerapp.execution.metrics.verdict import Verdict
from workerapp.execution.named_metrics import NAMED_METRICS
from workerapp.execution.plan import RESCORE_OF
from workerapp.execution.sealed_endpoint import SealedEndpoint
from workerapp.execution.target import Target, TargetLimits
from workerapp.settings import WorkerSettings

logger = logging.getLogger(__name__)

NOT_EXECUTED = {"code": "internal", "message": "The test could not be executed; the worker's log says why."}
HEADERS_SEALED = {
    "code": "headers_sealed",
    "message": "The worker has no key that opens the endpoint's stored headers (GATEWAY_SECRET_KEYS).",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LeasedTest:
    """A test as its row has it: it has `turns`, or otherwise the one `input`."""

    id: UUID
    input: Any
    expected: Any
    assertions: Sequence[Any]
    metadata: Mapping[str, Any]
    turns: Sequence[Mapping[str, Any]] | None = None
    #: Which of its executions in the run this is.
    repeat: int = 1
    #: What the endpoint answered in another run, if that is to be judged again.
    output: Mapping[str, Any] | None = None
    latency_ms: float | None = None
    http_status: int | None = None
    error: Mapping[str, Any] | None = None


class Trials:
    """Executes tests of one run against its endpoint; without one the answers are those that the tests have."""

    def __init__(self, target: Target | None, judging: Judging, test_run_id: UUID) -> None:
        self._target = target
        self._judging = judging
        self._test_run_id = test_run_id

    async def begin(self) -> None:
        """Wait until a test may begin; none of its time has passed then."""
        if self._target is not None:
            await self._target.begin()

    async def execute(self, test: LeasedTest) -> dict[str, Any]:
        """Ask and judge; the result is a row for `record_results`, whatever went wrong."""
        try:
            if self._target is None and test.error is not None:
                return _unanswered_before(test)
            steps = self._steps(test)
            answers = await self._ask(test, steps)
            verdict = None
            if steps[len(answers) - 1].can_judge(answers[-1]):
                verdict = await self._judging.judge(self._hearings(test, steps, answers))
            return _row(test, steps, answers, verdict)
        except Exception:
            # One test must not take its lane along; what is wrong with it is ours to read.
            fields = {"test_id": str(test.id), "repeat": test.repeat, "test_run_id": str(self._test_run_id)}
            logger.exception("test_not_executed", extra=fields)
            return _not_executed(test, NOT_EXECUTED)

    def _steps(self, test: LeasedTest) -> list[Step]:
        metrics = [*self._judging.read_metrics(test.assertions), *self._judging.configured]
        final = Criteria(metrics=metrics, expected=test.expected)
        return plan_steps(test.input, test.turns, final, self._judging.read_metrics)

    async def _ask(self, test: LeasedTest, steps: Sequence[Step]) -> list[Answer]:
        if self._target is None:
            # Nothing here waits, and the lane has other things to do too.
            await asyncio.sleep(0)
            return _answered_before(test)
        question = Question(
            test_id=test.id,
            test_run_id=self._test_run_id,
            input=test.input,
            metadata=test.metadata,
            repeat=test.repeat,
        )
        return await converse(self._target, question, steps)

    def _hearings(self, test: LeasedTest, steps: Sequence[Step], answers: Sequence[Answer]) -> list[Hearing]:
        return [
            Hearing(
                metrics=criteria.metrics,
                case=Case(
                    test_id=test.id,
                    test_run_id=self._test_run_id,
                    turn=criteria.turn,
                    input=asked,
                    expected=criteria.expected,
                    metadata=test.metadata,
                    answer=answer,
                ),
            )
            for step, asked, answer in zip(steps, conversations(steps, answers), answers, strict=True)
            for criteria in step.criteria
        ]


class Unopened:
    """Stands in for an endpoint that cannot be asked, whoever tries: every test tells why, and the run settles."""

    def __init__(self, error: dict[str, Any]) -> None:
        self._error = error

    async def begin(self) -> None:
        """Nothing has to be waited for."""

    async def execute(self, test: LeasedTest) -> dict[str, Any]:
        """The result of a test that was not asked."""
        return _not_executed(test, self._error)


@asynccontextmanager
async def open_trials(
    start: Mapping[str, Any],
    settings: WorkerSettings,
    test_run_id: UUID,
    find_endpoint: FindEndpoint,
    tokens: TokenCache | None = None,
    *,
    admission: Admission | None = None,
) -> AsyncIterator[Trials | Unopened]:
    """Open the run's endpoint for a lane, and what its answers are judged by.

    `start` has the run's snapshot, the secrets that are not in it, and the lane's share of what judges can take.
    """
    snapshot = start["snapshot"]
    configuration = ConfigurationSpec.model_validate(snapshot["configuration"])
    try:
        target = None if RESCORE_OF in snapshot else _target(start, configuration, settings, tokens, admission)
    except SealingUnavailable as error:
        logger.error("endpoint_not_opened", extra={"test_run_id": str(test_run_id), "reason": str(error)})  # noqa: TRY400 - the reason says it all
        yield Unopened(HEADERS_SEALED)
        return
    async with AsyncExitStack() as opened:
        if target is not None:
            await opened.enter_async_context(target)
        limits, share = judging_limits(settings), start["share"]
        panel = Panel(find_endpoint, settings.outbound, limits, target_limits(settings), share=share, tokens=tokens)
        await opened.enter_async_context(panel)
        judging = Judging(configuration, limits, panel, snapshot.get(NAMED_METRICS))
        opened.callback(judging.close)
        yield Trials(target, judging, test_run_id)


def _target(
    start: Mapping[str, Any],
    configuration: ConfigurationSpec,
    settings: WorkerSettings,
    tokens: TokenCache | None,
    admission: Admission | None,
) -> Target:
    stored = {name: start[name] for name in ("organization_id", "sealed_headers")}
    sealed = SealedEndpoint(id=start["endpoint_id"], spec=start["snapshot"]["endpoint"], **stored)
    endpoint = sealed.open(settings.sealer)
    return Target(
        endpoint,
        settings.outbound,
        per_test_timeout=configuration.per_test_timeout,
        limits=target_limits(settings),
        tokens=tokens,
        admission=admission,
    )


def judging_limits(settings: WorkerSettings) -> JudgingLimits:
    """What judging may cost, as the operator has set it."""
    return JudgingLimits(
        pattern_seconds=settings.judging_pattern_seconds,
        schema_seconds=settings.judging_schema_seconds,
        test_seconds=settings.judging_test_seconds,
        text_length=settings.judging_text_length,
        json_length=settings.judging_json_length,
        prompt_length=settings.judging_prompt_length,
        verdict_length=settings.judging_verdict_length,
        reason_length=settings.judging_reason_length,
        judges=settings.judging_max_judges,
    )


def target_limits(settings: WorkerSettings) -> TargetLimits:
    """What the operator has set."""
    return TargetLimits(
        backoff_seconds=settings.target_backoff_seconds,
        backoff_max_seconds=settings.target_backoff_max_seconds,
        circuit_tests=settings.target_circuit_tests,
        conversation_length=settings.target_conversation_length,
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


def _answered_before(test: LeasedTest) -> list[Answer]:
    """No request is made, so none is counted; how long the answer took is still true."""
    extra = dict(test.output or {})
    if test.turns is not None:
        return read_transcript(extra[TURNS])
    if test.output is None:
        # Without an error of its own it was judged by its status.
        reason = ErrorReason(ErrorCode.HTTP_STATUS, f"the endpoint answered HTTP {test.http_status}")
        return [Answer(http_status=test.http_status, latency_ms=test.latency_ms, error=reason)]
    output = extra.pop("output", None)
    return [Answer(output=output, extra=extra, http_status=test.http_status, latency_ms=test.latency_ms)]


def _unanswered_before(test: LeasedTest) -> dict[str, Any]:
    asked = {"output": test.output, "latency_ms": test.latency_ms, "http_status": test.http_status}
    return _not_executed(test, dict(test.error or {})) | asked


def _not_executed(test: LeasedTest, error: dict[str, Any]) -> dict[str, Any]:
    return {
        "test_id": str(test.id),
        "repeat": test.repeat,
        "status": ResultStatus.ERROR.value,
        "output": None,
        "scores": None,
        "latency_ms": None,
        "attempts": 0,
        "http_status": None,
        "error": error,
    }


def _row(test: LeasedTest, steps: Sequence[Step], answers: Sequence[Answer], verdict: Verdict | None) -> dict[str, Any]:
    """The result; without a verdict the last answer is the error that ended the test."""
    last, output = answers[-1], output_of(answers[-1])
    if test.turns is not None:
        output = {**(output or {}), TURNS: transcript(steps, answers) if test.output is None else test.output[TURNS]}
    return {
        "test_id": str(test.id),
        "repeat": test.repeat,
        "status": ResultStatus.ERROR.value if verdict is None else verdict.status.value,
        "output": output,
        "scores": None if verdict is None else verdict.as_json(),
        "latency_ms": last.latency_ms,
        "attempts": sum(answer.attempts for answer in answers),
        "http_status": last.http_status,
        "error": _error(test, answers, verdict),
    }


def _error(test: LeasedTest, answers: Sequence[Answer], verdict: Verdict | None) -> dict[str, Any] | None:
    error = answers[-1].error
    if verdict is not None:
        is_judged = verdict.status is not ResultStatus.ERROR
        return None if is_judged else {"code": "not_judged", "message": verdict.reason}
    assert error is not None
    return (error if test.turns is None else name_turn(error, len(answers))).as_json()
