"""Tells systemd that the worker lives, as often as its unit asks for (`WatchdogSec=`); else systemd starts it anew."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

from celery import bootsteps

from workerapp.execution.own_sockets import open_own_socket
from workerapp.pulse import Pulse
from workerapp.serving import ServingCheck

logger = logging.getLogger(__name__)

ALIVE = b"WATCHDOG=1"


class WatchdogStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Only where systemd listens; it goes on until the process ends, for stopping takes a while."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._socket = os.environ.get("NOTIFY_SOCKET", "")
        self._seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6

    def include_if(self, worker: Any) -> bool:
        return bool(self._socket and self._seconds)

    def start(self, worker: Any) -> None:
        # An abstract address, which has no file, is written with an @.
        address = self._socket.replace("@", "\0", 1) if self._socket.startswith("@") else self._socket
        Watchdog(worker.app.pulse, address, self._seconds / 2).start()


class Watchdog(threading.Thread):
    """Looks now and then, and is silent when the worker does not live."""

    def __init__(self, pulse: Pulse, address: str, pause: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._pulse, self._address, self._pause = pulse, address, pause
        self._stopping = threading.Event()

    def run(self) -> None:
        with open_own_socket(socket.AF_UNIX, socket.SOCK_DGRAM, 0) as notify:
            while not self._stopping.is_set():
                self._tell(notify)
                self._stopping.wait(self._pause)

    def stop(self) -> None:
        """Say nothing more."""
        self._stopping.set()

    def _tell(self, notify: socket.socket) -> None:
        health = self._pulse.health()
        try:
            if health.is_well:
                notify.sendto(ALIVE, self._address)
            else:
                logger.error("worker_stands_still", extra={"reason": health.reason})
        except OSError as error:
            logger.warning("watchdog_not_told", extra={"reason": str(error)})
