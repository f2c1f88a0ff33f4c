"""One wait for the end of some tasks: look, sleep until a hint comes, look again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from celery import states
from celery.exceptions import TimeoutError as Expired

from workerapp.db.connection import LOST
from workerapp.db.ear import Ear

#: Between two looks, however many hints come; a look that takes long makes the pause longer.
SPACING = 0.005
#: How often to look when the caller gives no interval.
INTERVAL = 0.5
#: How long the database may be away before a wait without a timeout gives up.
OUTAGE = 30.0

#: What Celery knows of a task.
Meta = dict[str, Any]
#: Reads the metas of these tasks, of those only that have ended if so asked, within so many seconds.
Look = Callable[[Iterable[str], bool, float], list[Meta]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How somebody wants to wait, in Celery's words."""

    timeout: float | None = None
    interval: float | None = INTERVAL
    on_interval: Callable[[], Any] | None = None
    on_message: Callable[[Meta], Any] | None = None


def wait_for_all(look: Look, task_ids: set[str], ear: Ear, wanted: Patience) -> Iterator[Meta]:
    """Each task as it ends.

    Raises:
        celery.exceptions.TimeoutError: not all have ended in time.
    """
    deadline = float("inf") if wanted.timeout is None else time.monotonic() + wanted.timeout
    interval = wanted.interval or INTERVAL
    news = News(wanted.on_message)
    pending, asked_at, is_listening = set(task_ids), float("-inf"), False
    with ExitStack() as listening:
        while pending:
            seen, began = ear.count, time.monotonic()
            ended = news.ended(_look(look, pending, deadline, everything=news.wanted))
            if wanted.on_interval is not None and any(meta["status"] in states.PROPAGATE_STATES for meta in ended):
                wanted.on_interval()  # Celery raises the error of a parent here: it tells more than what came of it
            for meta in ended:
                pending.discard(meta["task_id"])
                yield meta
            if not pending:
                return
            now = time.monotonic()
            if now >= deadline:
                raise Expired(f"The operation timed out: {len(pending)} of the tasks have not ended.")
            if wanted.on_interval is not None and now - asked_at >= interval:
                wanted.on_interval()
                asked_at = now
            if not is_listening:
                listening.enter_context(ear.open())  # that it has begun is a hint too: nothing is missed before it
                is_listening = True
            _sleep(ear, seen, min(interval, deadline - now), began + max(SPACING, 2 * (now - began)))


def _look(look: Look, pending: set[str], deadline: float, *, everything: bool) -> list[Meta]:
    left = max(deadline - time.monotonic(), 0.0)
    try:
        return look(pending, not everything, min(left, OUTAGE))
    except LOST:
        if left > OUTAGE:
            raise
        return []


def _sleep(ear: Ear, seen: int, seconds: float, earliest: float) -> None:
    ear.wait(seen, seconds)
    time.sleep(max(0.0, min(earliest - time.monotonic(), seconds)))


class News:
    """Tells a caller who wants it each change of a task, once; and which tasks have ended."""

    def __init__(self, on_message: Callable[[Meta], Any] | None) -> None:
        self._on_message = on_message
        self._told: dict[str, tuple[str, str]] = {}

    @property
    def wanted(self) -> bool:
        """Whether tasks that run on are of interest."""
        return self._on_message is not None

    def ended(self, metas: list[Meta]) -> list[Meta]:
        """Those of the metas that are final."""
        for meta in metas:
            news = (meta["status"], repr(meta["result"]))
            if self._on_message is not None and self._told.get(meta["task_id"]) != news:
                self._told[meta["task_id"]] = news
                self._on_message(meta)
        return [meta for meta in metas if meta["status"] in states.READY_STATES]
