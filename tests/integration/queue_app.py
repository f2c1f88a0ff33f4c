"""A Celery application for the broker's tests: its tasks leave rows behind that say what happened."""

from __future__ import annotations

import os
import struct
import time
from fcntl import ioctl
from termios import FIONREAD
from typing import Any

import psycopg
from billiard.connection import Connection
from celery import Celery, signals

from tests.waiting import until
from workerapp import broker

broker.register()
app = Celery("queue_app", broker=os.environ["QUEUE_URL"], backend=None)
app.conf.update(
    broker_transport_options={"visibility_timeout": float(os.environ.get("QUEUE_VISIBILITY", "60"))},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_ignore_result=True,
    task_acks_late=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_prefetch_multiplier=int(os.environ.get("QUEUE_PREFETCH", "4")),
)


def note(what: str) -> None:
    with psycopg.connect(os.environ["QUEUE_ADMIN_URL"], autocommit=True) as admin:
        admin.execute("INSERT INTO public.note (what) VALUES (%s)", (what,))


def opened(gate: str) -> bool:
    try:
        with psycopg.connect(os.environ["QUEUE_ADMIN_URL"], autocommit=True) as admin:
            return admin.execute("SELECT FROM public.note WHERE what = %s", (f"open {gate}",)).fetchone() is not None
    except psycopg.OperationalError:
        return False


@app.task(bind=True)
def say(self: Any, what: str) -> None:
    again = " again" if self.request.delivery_info["redelivered"] else ""
    note(f"{what}{again}")


@app.task(bind=True)
def wait(self: Any, gate: str, seconds: float = 60) -> None:
    """Runs until the gate is opened."""
    note(f"begun {gate}{' again' if self.request.delivery_info['redelivered'] else ''}")
    deadline = time.monotonic() + seconds
    while not opened(gate) and time.monotonic() < deadline:
        time.sleep(0.02)
    note(f"done {gate}")


@app.task
def end_haltingly(gate: str) -> None:
    """End; but half of what the worker is told about it is told only when the gate is open."""
    write = Connection._send

    def write_haltingly(self: Any, message: bytes) -> None:
        Connection._send = write
        half = len(message) // 2
        write(self, message[:half])
        until(lambda: not unread(self))
        note(f"half told {gate}")
        until(lambda: opened(gate), 60)
        write(self, message[half:])
        note(f"told {gate}")

    Connection._send = write_haltingly


def unread(pipe: Any) -> int:
    """How many bytes the other side has yet to read."""
    (count,) = struct.unpack("i", ioctl(pipe.fileno(), FIONREAD, b"\0" * 4))
    return int(count)


@app.task(Request="workerapp.request:Request")
def guarded(what: str) -> None:
    note(what)


@signals.task_failure.connect
def on_failure(exception: BaseException, **_: Any) -> None:
    note(f"failed: {type(exception).__name__}")
