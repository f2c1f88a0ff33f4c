"""Tasks that the tests of results and canvases call: they combine, become others, fail in odd ways, tell progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery import chain, chord, group, shared_task
from celery.exceptions import Ignore
from sqlalchemy import text

from tests.stack.extra_tasks import add
from tests.waiting import until
from workerapp.base import BaseTask, PermanentError


class StrangeError(Exception):
    """Takes other arguments than it keeps, so that nobody can make it again from what was stored."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


@shared_task(base=BaseTask, bind=True, name="tests.total")
def total(self: BaseTask, numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(base=BaseTask, bind=True, name="tests.refuse", max_retries=0)
def refuse(self: BaseTask, kind: str, *arguments: Any) -> None:
    """Fail with an exception of this kind."""
    if kind == "strange":
        raise StrangeError(*arguments)
    if kind == "local":
        raise type("MadeHere", (PermanentError,), {})(*arguments)
    if kind == "object":
        raise PermanentError(object())
    if kind == "character":
        raise PermanentError(f"before {chr(0)} after")
    raise {"value": ValueError, "key": KeyError}[kind](*arguments)


@shared_task(base=BaseTask, bind=True, name="tests.tell_progress")
def tell_progress(self: BaseTask, steps: int, gate: str | None = None) -> str:
    """Tell each step, and end when the file `gate` is there."""
    for step in range(1, steps + 1):
        self.update_state(state="WORKING", meta={"step": step, "of": steps})
    if gate is not None:
        until(Path(gate).exists)
    return "told"


@shared_task(base=BaseTask, bind=True, name="tests.judge_itself")
def judge_itself(self: BaseTask) -> None:
    """Say how it ended itself."""
    error = {"exc_type": "ValueError", "exc_module": "builtins", "exc_message": ["by hand"]}
    self.update_state(state="FAILURE", meta=error)
    raise Ignore


@shared_task(base=BaseTask, bind=True, name="tests.wait_for")
def wait_for(self: BaseTask, gate: str) -> str:
    """End when the file `gate` is there."""
    Path(gate + ".begun").touch()
    until(Path(gate).exists, 30)
    return "waited"


@shared_task(base=BaseTask, bind=True, name="tests.keep_quiet", ignore_result=True, max_retries=0)
def keep_quiet(self: BaseTask, *, fails: bool = False) -> str:
    if fails:
        raise PermanentError("quietly")
    return "nobody hears this"


@shared_task(base=BaseTask, bind=True, name="tests.swell")
def swell(self: BaseTask, size: int) -> str:
    return "x" * size


@shared_task(base=BaseTask, bind=True, name="tests.call_others")
def call_others(self: BaseTask, size: int) -> list[str]:
    """Publish tasks without waiting for them."""
    return [add.delay(number, number).id for number in range(size)]


@shared_task(base=BaseTask, bind=True, name="tests.become")
def become(self: BaseTask, kind: str) -> Any:
    """Be replaced by a canvas of this kind."""
    parts = [add.s(number, number) for number in range(3)]
    canvases = {
        "group": lambda: group(parts),
        "chain": lambda: chain(add.s(1, 1), add.s(2), add.s(3)),
        "chord": lambda: chord(parts, total.s()),
        "task": lambda: add.s(20, 22),
    }
    return self.replace(canvases[kind]())


@shared_task(base=BaseTask, bind=True, name="tests.enlarge")
def enlarge(self: BaseTask, number: int) -> int:
    """Add one part more to the chord this task is a part of."""
    self.add_to_chord(add.s(number, number))
    return number


@shared_task(base=BaseTask, bind=True, name="tests.note_failure")
def note_failure(self: BaseTask, failed_id: str, *marks: str) -> str:
    """An errback of the old kind: it is a task of its own."""
    return failed_id


@shared_task(base=BaseTask, bind=True, name="tests.count_to")
def count_to(self: BaseTask, number: int, total: int, *, fails: bool = False) -> str:
    """Count as fast as it goes, of more there may be."""
    for done in range(1, number + 1):
        self.progress(done, total, f"number {done}")
    if fails:
        raise PermanentError("lost count")
    return "counted"


@shared_task(base=BaseTask, bind=True, name="tests.count_again", retry_backoff=False, default_retry_delay=0.1)
def count_again(self: BaseTask) -> str:
    """Fail half-way at first, then count less."""
    if self.request.retries == 0:
        self.progress(5, 10)
        raise ConnectionError("half-way")
    self.progress(1, 10)
    return "counted"


@shared_task(base=BaseTask, bind=True, name="tests.count_in_a_session")
def count_in_a_session(self: BaseTask) -> str:
    """Tell from within a transaction that has the task's own row."""
    with self.get_db_session() as db:
        db.execute(text("SELECT FROM task WHERE id = :id FOR UPDATE"), {"id": self.request.id})
        self.progress(1, 1, "in the dark")
    return "counted"


@shared_task(base=BaseTask, bind=True, name="tests.count_at_gates")
def count_at_gates(self: BaseTask, first: str, second: str) -> str:
    """Tell, wait for the file `first`, tell, say so by a file, and wait for the file `second`."""
    self.progress(1, 2)
    until(Path(first).exists, 30)
    self.progress(2, 2)
    Path(second + ".told").touch()
    until(Path(second).exists, 30)
    return "counted"
