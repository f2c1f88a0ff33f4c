"""Tasks that only the suite calls: they fail, try again, take long, or take part in chords."""

from __future__ import annotations

import gc
import logging
import time
from typing import Any

from celery import chord, shared_task

from workerapp.base import BaseTask, PermanentError
from workerapp.contract.tasks import JOIN_FAILURES_HEADER


@shared_task(base=BaseTask, bind=True, name="tests.add")
def add(self: BaseTask, first: int, second: int) -> int:
    return first + second


@shared_task(base=BaseTask, bind=True, name="tests.collect")
def collect(self: BaseTask, parts: list[Any]) -> dict[str, Any]:
    return {"parts": parts}


@shared_task(base=BaseTask, bind=True, name="tests.fail")
def fail(self: BaseTask, message: str) -> None:
    raise PermanentError(message)


@shared_task(base=BaseTask, bind=True, name="tests.log_as_library")
def log_as_library(self: BaseTask) -> None:
    """Log what knows nothing of tasks."""
    logging.getLogger("some.library").warning("deep within")


@shared_task(base=BaseTask, bind=True, name="tests.tell_origin")
def tell_origin(self: BaseTask, hops: int) -> Any:
    """By which request and in which trace it was submitted, as the last of so many tasks knows that send each other."""
    if hops:
        return self.replace(tell_origin.s(hops - 1))
    return [self.request.request_id, self.request.traceparent]


@shared_task(base=BaseTask, bind=True, name="tests.count_spared")
def count_spared(self: BaseTask) -> int:
    """How many objects this process's garbage collector never looks at."""
    return gc.get_freeze_count()


@shared_task(base=BaseTask, bind=True, name="tests.misfit")
def misfit(self: BaseTask, **arguments: Any) -> None:
    """Say that anything is taken, and take nothing."""
    gc.get_freeze_count(**arguments)


@shared_task(base=BaseTask, bind=True, name="tests.give")
def give(self: BaseTask, value: Any) -> Any:
    return value


@shared_task(base=BaseTask, bind=True, name="tests.give_character")
def give_character(self: BaseTask, code: int) -> str:
    return chr(code)


@shared_task(base=BaseTask, bind=True, name="tests.note_error")
def note_error(self: BaseTask, failed_id: str) -> str:
    """An errback."""
    return failed_id


@shared_task(base=BaseTask, bind=True, name="tests.fail_then_succeed", retry_backoff=False, default_retry_delay=0.1)
def fail_then_succeed(self: BaseTask, failures: int) -> int:
    """Fail so many times, then tell how often it was tried again."""
    if self.request.retries < failures:
        raise ConnectionError(f"failure {self.request.retries + 1}")
    return int(self.request.retries)


@shared_task(base=BaseTask, bind=True, name="tests.become_chord")
def become_chord(self: BaseTask, size: int) -> Any:
    """Become a chord, whose body takes over this task's id."""
    return self.replace(chord_of(size))


@shared_task(base=BaseTask, bind=True, name="tests.become_tolerant_chord")
def become_tolerant_chord(self: BaseTask) -> Any:
    """Become a chord whose second part fails, and whose body runs all the same."""
    body = collect.s().set(headers={JOIN_FAILURES_HEADER: True})
    return self.replace(chord([add.s(1, 1), fail.s("broken part"), add.s(2, 2)], body))


@shared_task(base=BaseTask, bind=True, name="tests.hold_carelessly", acks_late=False)
def hold_carelessly(self: BaseTask, seconds: float) -> None:
    """Take so long, and be acknowledged before."""
    time.sleep(seconds)


@shared_task(base=BaseTask, bind=True, name="tests.hold")
def hold(self: BaseTask, seconds: float) -> str:
    """Stay busy for so long."""
    time.sleep(seconds)
    return "held"


def chord_of(size: int) -> Any:
    return chord([add.s(number, number) for number in range(size)], collect.s())


@shared_task(base=BaseTask, bind=True, name="tests.become_chord_of_waiting")
def become_chord_of_waiting(self: BaseTask, seconds: float) -> Any:
    """Become a chord with a member whose time comes only after so many seconds."""
    return self.replace(chord([add.s(1, 1), wait_for_it.s().set(countdown=seconds)], collect.s()))


@shared_task(base=BaseTask, bind=True, name="tests.wait_for_it")
def wait_for_it(self: BaseTask) -> str:
    return "waited"
