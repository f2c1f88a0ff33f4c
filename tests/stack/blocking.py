"""A remote-control command that makes a worker's main loop stand still, for the tests of its probes."""

from __future__ import annotations

import time
from typing import Any

from celery.worker.control import control_command


@control_command(args=[("seconds", float)])
def stand_still(state: Any, seconds: float) -> None:
    time.sleep(seconds)
