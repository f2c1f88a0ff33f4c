"""Metrics of the response around the output: how long it took, and its status."""

from __future__ import annotations

from workerapp.contract.metrics import HttpStatus, Latency
from workerapp.execution.metrics.finding import Answered, CannotJudge, Finding, found


def latency(metric: Latency, answered: Answered) -> Finding:
    if answered.latency_ms is None:
        raise CannotJudge("the time of the request is not known")
    reason = f"the request took {answered.latency_ms:g} ms; at most {metric.max_ms:g} pass"
    return found(holds=answered.latency_ms <= metric.max_ms, reason=reason)


def http_status(metric: HttpStatus, answered: Answered) -> Finding:
    if answered.http_status is None:
        raise CannotJudge("the status of the response is not known")
    codes = ", ".join(map(str, metric.codes))
    return found(holds=answered.http_status in metric.codes, reason=f"expected {codes}, got {answered.http_status}")
