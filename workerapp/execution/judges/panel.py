"""The judges of a lane's slice: opened when they are first asked, closed with the lane's connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, nullcontext
from time import perf_counter
from typing import Any, Self
from uuid import UUID

from workerapp.contract.judges import Judge, LlmJudge
from workerapp.contract.outbound import OutboundPolicy
from workerapp.contract.presets import OPENAI_CHAT
from workerapp.contract.reasons import ErrorReason, Timeout
from workerapp.contract.specs import EndpointSpec
from workerapp.execution.admission import sole_admission
from workerapp.execution.credentials import TokenCache
from workerapp.execution.exchange import Question
from workerapp.execution.judges.case import Case
from workerapp.execution.judges.connection import JudgeConnection, Turns, endpoint_at, forms_of, name_of
from workerapp.execution.judges.endpoints import FindEndpoint
from workerapp.execution.judges.prompt import schema_of, write_prompt, write_reminder
from workerapp.execution.judges.verdicts import NoVerdict, read_service_verdict, read_verdict
from workerapp.execution.measures import FAILED, JUDGES, SCORED
from workerapp.execution.metrics.evaluate import scored
from workerapp.execution.metrics.finding import CannotJudge, Finding, JudgingLimits, found
from workerapp.execution.metrics.verdict import Score
from workerapp.execution.target import Target, TargetLimits


class Panel:
    """Asks judges. Whatever is wrong with one of them is a score that says so, and never a failed test."""

    def __init__(
        self,
        find_endpoint: FindEndpoint,
        policy: OutboundPolicy,
        limits: JudgingLimits,
        target_limits: TargetLimits,
        *,
        share: float = 1.0,
        tokens: TokenCache | None = None,
    ) -> None:
        """`share` is this lane's of what an endpoint can take; `tokens` are those that are known."""
        self._find_endpoint, self._policy, self._share, self._tokens = find_endpoint, policy, share, tokens
        self._limits, self._target_limits = limits, target_limits
        self._turns: dict[UUID, Turns] = {}
        self._known: dict[Any, JudgeConnection | CannotJudge] = {}
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def score(self, metric: Judge, case: Case) -> Score:
        """Ask a judge about one test."""
        started = perf_counter()
        finding: Finding | CannotJudge
        try:
            finding = await self._find(metric, case)
        except CannotJudge as exc:
            finding = exc
        outcome = FAILED if isinstance(finding, CannotJudge) else SCORED
        JUDGES.observe(perf_counter() - started, outcome)
        return scored(metric, finding, turn=case.turn, started=started)

    async def _find(self, metric: Judge, case: Case) -> Finding:
        if case.missing is not None:
            return found(holds=False, reason=f"there is no output: {case.missing}")
        connection = await self._connection(metric)
        problem = None
        for attempt in range(metric.attempts):
            answer = await connection.ask(self._question(metric, case, attempt, as_chat=connection.as_chat))
            if answer.error is not None:
                raise CannotJudge(f"the judge {connection.name} failed: {_problem(answer.error, metric)}")
            try:
                return self._read(metric, answer.output)
            except NoVerdict as exc:
                problem = exc
        times = "once" if metric.attempts == 1 else f"{metric.attempts} times"
        raise CannotJudge(f"the judge {connection.name} was asked {times} and gave no verdict: {problem}")

    def _question(self, metric: Judge, case: Case, attempt: int, *, as_chat: bool) -> Question:
        if not isinstance(metric, LlmJudge):
            return case.question("", case.as_json())
        task, data = write_prompt(metric, case)
        if len(task) + len(data) > self._limits.prompt_length:
            most = self._limits.prompt_length
            raise CannotJudge(f"the judge would be sent {len(task) + len(data)} characters; at most {most} are sent")
        data += write_reminder(metric) if attempt else ""
        messages = [{"role": "system", "content": task}, {"role": "user", "content": data}]
        request = {"seed": attempt, "response_format": schema_of(metric.scale)}
        return case.question(messages if as_chat else f"{task}\n\n{data}", request)

    def _read(self, metric: Judge, said: Any) -> Finding:
        if isinstance(metric, LlmJudge):
            return read_verdict(metric.scale, said, self._limits)
        return read_service_verdict(said, self._limits)

    async def _connection(self, metric: Judge) -> JudgeConnection:
        """The connection to a judge; what could not be opened once is not tried again in this slice."""
        key = (metric.type, metric.endpoint_id, metric.url, getattr(metric, "model", None), metric.timeout)
        async with self._opening:
            if key not in self._known:
                self._known[key] = await self._try_to_open(metric)
        known = self._known[key]
        if isinstance(known, CannotJudge):
            raise CannotJudge(str(known))
        return known

    async def _try_to_open(self, metric: Judge) -> JudgeConnection | CannotJudge:
        if len(self._known) >= self._limits.judges:
            return CannotJudge(f"the tests have more different judges than the {self._limits.judges} that a lane asks")
        try:
            endpoint = (
                endpoint_at(metric) if metric.endpoint_id is None else await self._find_endpoint(metric.endpoint_id)
            )
        except CannotJudge as exc:
            return exc
        return await self._open.enter_async_context(self._connect(metric, endpoint))

    def _connect(self, metric: Judge, endpoint: EndpointSpec) -> JudgeConnection:
        rate = endpoint.requests_per_second
        targets = [
            Target(
                form,
                self._policy,
                per_test_timeout=metric.timeout,
                limits=self._target_limits,
                tokens=self._tokens,
                admission=sole_admission(rate and rate * self._share, self._target_limits.circuit_tests),
            )
            for form in forms_of(metric, endpoint)
        ]
        return JudgeConnection(
            name_of(metric, endpoint),
            targets,
            self._turns_at(metric, endpoint),
            as_chat=endpoint.preset == OPENAI_CHAT,
        )

    def _turns_at(self, metric: Judge, endpoint: EndpointSpec) -> Turns:
        """This lane's share of what a stored endpoint takes at once, whichever metrics ask it."""
        if metric.endpoint_id is None or endpoint.max_concurrency is None:
            return nullcontext()
        most = max(1, int(endpoint.max_concurrency * self._share))
        return self._turns.setdefault(metric.endpoint_id, asyncio.Semaphore(most))


def _problem(error: ErrorReason, metric: Judge) -> str:
    if error.timeout is Timeout.TEST:
        return f"it gave no answer within {metric.timeout:g} seconds"
    return error.message
