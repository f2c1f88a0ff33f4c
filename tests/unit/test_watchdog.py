"""What systemd hears of a worker: that it lives, and nothing when it does not."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.waiting import until
from workerapp.pulse import Pulse
from workerapp.watchdog import ALIVE, Watchdog


def test_systemd_hears_nothing_while_the_worker_stands_still(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pulse = Pulse(within=60)
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(10)
        watchdog = Watchdog(pulse, address, pause=0.01)
        watchdog.start()
        assert systemd.recv(100) == ALIVE
        pulse._within = -1
        until(lambda: "worker_stands_still" in caplog.messages)
        systemd.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                systemd.recv(100)
        caplog.clear()
        until(lambda: "worker_stands_still" in caplog.messages)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        watchdog.stop()
        watchdog.join(10)
