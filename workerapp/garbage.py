"""Keeps Python's garbage collector from walking, over and over, through what a worker's process never frees.

A process begins with 100 MB of Celery's and our own objects, and a run makes a hundred objects a test, few of which are
part of a cycle. Measured with trivial tests: a third of a lane's time.
"""

from __future__ import annotations

import gc
from typing import Any

from celery import signals

#: How many new objects make it look through the young ones, how many such looks through older ones; else 700, 10, 10.
YOUNG, LOOKS, OLD_LOOKS = 20_000, 20, 100


def spare_the_old() -> None:
    """Let every process that executes tasks, once it has begun, collect only what it makes itself."""
    signals.worker_process_init.connect(_freeze, weak=False, dispatch_uid="workerapp.garbage")


def _freeze(**_: Any) -> None:
    gc.freeze()
    gc.set_threshold(YOUNG, LOOKS, OLD_LOOKS)
