"""The alert rules of deploy/, series for which none of them fires, and for each the fault that it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.deployment import document

#: Unix time, as the clock of promtool goes: a minute a sample.
NOW = "0+60x60"
LONG_AGO = "1x60"


def gateway(name: str, **labels: str) -> str:
    """A series of a gateway, as PromQL has it."""
    return _series(name, labels | {"job": "gateway", "instance": "gateway-1:8080"})


def worker(name: str, **labels: str) -> str:
    return _series(name, labels | {"job": "worker", "instance": "worker-1:9808"})


def _series(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def lag(bound: str) -> str:
    return gateway("gateway_tail_lag_seconds_bucket", le=bound)


def requests(status: str) -> str:
    return gateway("gateway_http_request_duration_seconds_count", status=status)


def pool(state: str) -> str:
    return gateway("gateway_database_pool_connections", state=state)


def tasks(outcome: str) -> str:
    return worker("gateway_worker_tasks_total", task="echo", outcome=outcome)


def targets(outcome: str) -> str:
    return worker("gateway_target_request_duration_seconds_count", outcome=outcome)


#: Busy, and well.
HEALTHY = {
    gateway("up"): "1x60",
    worker("up"): "1x60",
    gateway("gateway_tail_connected"): "1x60",
    gateway("gateway_tail_last_read_timestamp_seconds"): NOW,
    gateway("gateway_tail_reconnects_total"): "3x60",
    lag("0.5"): "0+100x60",
    lag("1"): "0+100x60",
    lag("2.5"): "0+100x60",
    lag("+Inf"): "0+100x60",
    gateway("gateway_tail_horizon_age_seconds"): "5x60",
    gateway("gateway_subscriptions", kind="subject"): "5000x60",
    gateway("gateway_subscriptions", kind="organization"): "5000x60",
    gateway("gateway_subscriptions_limit"): "20000x60",
    gateway("gateway_streams_refused_total", reason="full"): "7x60",
    gateway("gateway_streams_ended_total", reason="lagged", protocol="sse"): "0+6x60",
    gateway("gateway_streams_ended_total", reason="failed", protocol="sse"): "2x60",
    requests("200"): "0+6000x60",
    requests("503"): "0+3x60",
    pool("in_use"): "12x60",
    pool("idle"): "3x60",
    gateway("gateway_database_pool_limit"): "20x60",
    gateway("process_open_fds"): "12000x60",
    gateway("process_max_fds"): "65536x60",
    worker("gateway_workers_alive"): "2x60",
    worker("gateway_worker_healthy"): "1x60",
    worker("gateway_worker_heartbeat_timestamp_seconds"): NOW,
    worker("gateway_queue_ready_seconds", queue="celery"): "20x60",
    worker("gateway_backlog_timestamp_seconds"): NOW,
    tasks("succeeded"): "0+100x60",
    tasks("failed"): "0+5x60",
    tasks("ignored"): "0+50x60",
    tasks("lost"): "1x60",
    worker("gateway_worker_messages_refused_total", reason="unknown_task"): "1x60",
    worker("gateway_relay_messages_again_total"): "4x60",
    worker("gateway_relay_interruptions_total"): "4x60",
    worker("gateway_runs_overdue_seconds"): "3x60",
    worker("gateway_sweep_timestamp_seconds"): NOW,
    worker("gateway_sweeper_failures_total", step="settle_runs"): "2x60",
    targets("answered"): "0+900x60",
    targets("timeout"): "0+100x60",
    worker("gateway_webhook_overdue_seconds"): "5x60",
    worker("gateway_webhook_attempts_in_flight"): "200x60",
}

#: What is then otherwise; None: there is no such series.
FAULTS: dict[str, dict[str, str | None]] = {
    "TargetDown": {worker("up"): "0x60"},
    "TailDisconnected": {gateway("gateway_tail_connected"): "0x60"},
    "TailSilent": {gateway("gateway_tail_last_read_timestamp_seconds"): LONG_AGO},
    "TailReconnects": {gateway("gateway_tail_reconnects_total"): "0+1x60"},
    "EventsLate": {lag("0.5"): "0+10x60", lag("1"): "0+20x60"},
    "TransactionOpen": {gateway("gateway_tail_horizon_age_seconds"): "0+60x60"},
    "StreamsNearLimit": {gateway("gateway_subscriptions", kind="subject"): "12000x60"},
    "StreamsRefused": {gateway("gateway_streams_refused_total", reason="full"): "0+1x60"},
    "ClientsTooSlow": {gateway("gateway_streams_ended_total", reason="lagged", protocol="sse"): "0+120x60"},
    "StreamsFailed": {gateway("gateway_streams_ended_total", reason="failed", protocol="sse"): "0+1x60"},
    "RequestsFail": {requests("503"): "0+12x60"},
    "ErrorRateHigh": {requests("503"): "0+600x60"},
    "PoolExhausted": {pool("in_use"): "20x60", pool("idle"): "0x60"},
    "OpenFiles": {gateway("process_open_fds"): "60000x60"},
    "NoWorker": {worker("gateway_workers_alive"): None},
    "WorkerStandsStill": {worker("gateway_worker_healthy"): "0x60"},
    "WorkerSilent": {worker("gateway_worker_heartbeat_timestamp_seconds"): LONG_AGO},
    "QueueStands": {worker("gateway_queue_ready_seconds", queue="celery"): "0+60x60"},
    "BacklogUnknown": {worker("gateway_backlog_timestamp_seconds"): LONG_AGO},
    "TasksFail": {tasks("failed"): "0+50x60"},
    "ProcessesLost": {tasks("lost"): "0+1x60"},
    "MessagesRefused": {worker("gateway_worker_messages_refused_total", reason="unknown_task"): "0+1x60"},
    "MessagesRelayedAgain": {worker("gateway_relay_messages_again_total"): "0+1x60"},
    "RelayInterrupted": {worker("gateway_relay_interruptions_total"): "0+1x60"},
    "RunsOverdue": {worker("gateway_runs_overdue_seconds"): "0+60x60"},
    "NoSweep": {worker("gateway_sweep_timestamp_seconds"): LONG_AGO},
    "SweeperFails": {worker("gateway_sweeper_failures_total", step="settle_runs"): "0+1x60"},
    "TargetsFail": {targets("timeout"): "0+2000x60"},
    "WebhooksOverdue": {worker("gateway_webhook_overdue_seconds"): "0+60x60"},
    "WebhooksBusy": {worker("gateway_webhook_attempts_in_flight"): "490x60"},
}


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A rule of deploy/alerts.yml."""

    name: str
    expression: str
    lasts: str
    severity: str
    summary: str
    description: str
    #: A page of the documentation, and perhaps a section of it.
    documentation: str

    def row(self) -> str:
        """As docs/metrics.md has it."""
        expression = self.expression.replace("|", r"\|")
        return f"| {self.name} | {self.severity} | `{expression}` | {self.lasts} | {self.summary} |"


def alerts() -> list[Alert]:
    rules: list[dict[str, Any]] = [rule for group in document("alerts.yml")["groups"] for rule in group["rules"]]
    return [
        Alert(
            name=rule["alert"],
            expression=re.sub(r"\s+", " ", rule["expr"]),
            lasts=rule.get("for", ""),
            severity=rule["labels"]["severity"],
            **rule["annotations"],
        )
        for rule in rules
    ]


def scenario(name: str, changes: dict[str, str | None], *, expected: dict[str, bool]) -> dict[str, Any]:
    """What promtool is to try: whether alerts fire after half an hour, whatever they say exactly."""
    series = HEALTHY | changes
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items() if values is not None],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                "eval_time": "30m",
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
            for alert, fires in expected.items()
        ],
    }
