"""One input tried against an endpoint, through the same code as the tests of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from workerapp.contract.invocation import InvocationResult
from workerapp.db.sealing import SealingUnavailable
from workerapp.execution.credentials import TokenCache
from workerapp.execution.exchange import Question
from workerapp.execution.sealed_endpoint import SealedEndpoint
from workerapp.execution.target import Target
from workerapp.execution.trace import Trace
from workerapp.execution.trial import HEADERS_SEALED, output_of, target_limits
from workerapp.settings import WorkerSettings


async def invoke(
    endpoint: SealedEndpoint,
    asked: Mapping[str, Any],
    settings: WorkerSettings,
    tokens: TokenCache,
) -> InvocationResult:
    """Ask the endpoint once, and tell everything about it; `asked` has the `input` and the `metadata` of a test."""
    try:
        spec = endpoint.open(settings.sealer)
    except SealingUnavailable:
        return InvocationResult(
            request=None, response=None, output=None, latency_ms=None, attempts=0, error=HEADERS_SEALED
        )
    spec = spec.model_copy(update={"max_attempts": 1})
    question = Question(test_id=uuid4(), test_run_id=uuid4(), input=asked["input"], metadata=asked["metadata"])
    trace = Trace(settings.invocation_excerpt_bytes)
    target = Target(
        spec, settings.outbound, per_test_timeout=spec.timeout + 1, limits=target_limits(settings), tokens=tokens
    )
    async with target:
        answer = await target.ask(question, trace)
    return InvocationResult(
        request=trace.request,
        response=trace.response,
        output=output_of(answer),
        latency_ms=answer.latency_ms,
        attempts=answer.attempts,
        error=None if answer.error is None else answer.error.as_json(),
    )
