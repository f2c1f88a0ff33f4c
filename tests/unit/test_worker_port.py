"""The port where a worker tells of itself."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.stack.services import free_port
from workerapp.metrics import WorkerMetrics
from workerapp.port import PortStep
from workerapp.pulse import Pulse


def worker(port: int) -> Any:
    settings = SimpleNamespace(worker_metrics_port=port, worker_metrics_host="127.0.0.1")
    return SimpleNamespace(app=SimpleNamespace(settings=settings, metrics=WorkerMetrics(), pulse=Pulse(60)))


def test_it_is_served_until_the_process_ends() -> None:
    port = free_port()
    running = worker(port)
    step = PortStep(running)
    assert step.include_if(running)
    step.start(running)
    answered = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert 'gateway_webhook_attempts_total{outcome="gone"} 0.0' in answered.text
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 503, "it has not reported yet"
    step.stop(running)
    assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200, "it may take a while to stop"
    step.shut()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_nothing_is_served_unless_a_port_is_given() -> None:
    running = worker(0)
    assert not PortStep(running).include_if(running)


def test_a_port_that_is_taken_is_told_and_the_worker_works_on(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = worker(taken.getsockname()[1])
        step = PortStep(running)
        step.start(running)
        step.shut()
    assert [record.message for record in caplog.records] == ["worker_metrics_unavailable"]
