"""A transport that captures messages instead of sending them: Celery makes the envelope, we choose the way out.

Chains, chords, countdowns, priorities and headers come out exactly as Celery would send them, and nothing is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from queue import Empty
from typing import Any, NoReturn

from kombu.transport import TRANSPORT_ALIASES, virtual

URL = "capture://nowhere"


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """One message as a kombu virtual transport would put it into `queue`."""

    queue: str
    message: dict[str, Any]


_captured: ContextVar[list[CapturedMessage] | None] = ContextVar("captured", default=None)


@contextmanager
def capture() -> Iterator[list[CapturedMessage]]:
    """Collect what is published in this context."""
    messages: list[CapturedMessage] = []
    token = _captured.set(messages)
    try:
        yield messages
    finally:
        _captured.reset(token)


class Channel(virtual.Channel):
    """Puts every message into the list of the surrounding `capture()`."""

    do_restore = False

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        messages = _captured.get()
        if messages is None:
            raise RuntimeError("A message was published outside capture() and would be lost.")
        messages.append(CapturedMessage(queue, message))

    def _get(self, queue: str, timeout: float | None = None) -> NoReturn:
        raise Empty

    def _purge(self, queue: str) -> int:
        return 0

    def _size(self, queue: str) -> int:
        return 0


class Transport(virtual.Transport):
    """Nothing to connect to."""

    Channel = Channel
    driver_type = "capture"
    driver_name = "capture"

    def driver_version(self) -> str:
        return "1"


def register() -> None:
    """Make `capture://` known to kombu."""
    TRANSPORT_ALIASES["capture"] = f"{__name__}:Transport"
