"""What a fault run keeps submitting: runs of 200 tests, chords and plain tasks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from tests.faults.caller import Caller, GaveUp
from tests.faults.stack import Stack
from tests.faults.watcher import Watcher

TESTS, ERRORED, FAILED = 200, 10, 40
CHORD_SIZE = 8
AT_ONCE = 3


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What the gateways have accepted."""

    watchers: list[Watcher] = field(default_factory=list)
    chords: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[str]:
        return [watcher.run_id for watcher in self.watchers]


class Load(threading.Thread):
    """Submits while it is allowed to, with a few runs open at a time; each run is watched."""

    def __init__(self, stack: Stack, over: threading.Event) -> None:
        super().__init__(daemon=True, name="load")
        self._stack, self._over = stack, over
        self._enough = threading.Event()
        self._caller = self._new_caller()
        self.ledger = Ledger()
        self.problem: str | None = None

    def _new_caller(self) -> Caller:
        return Caller([gateway.url for gateway in self._stack.gateways], self._stack.key, self._over)

    def enough(self) -> None:
        self._enough.set()

    def run(self) -> None:
        try:
            configuration_id = self._configure()
            while not self._enough.wait(0.2):
                self._submit(configuration_id)
        except GaveUp as error:
            self.problem = f"the gateways never answered {error}"
        except AssertionError as error:
            self.problem = f"a gateway refused what is right: {error}"
        finally:
            self._caller.close()

    def submit_task(self, name: str, *args: Any, caller: Caller | None = None) -> str:
        answer = (caller or self._caller).post("/v1/tasks", {"name": f"tests.faults.{name}", "args": list(args)})
        return str(answer["task_id"])

    def submit_waiting(self, gate: str, count: int) -> list[str]:
        """Submit tasks that end when the file is there; called by another thread."""
        caller = self._new_caller()
        try:
            submitted = [self.submit_task("end_at", gate, caller=caller) for _ in range(count)]
        finally:
            caller.close()
        self.ledger.tasks.extend(submitted)
        return submitted

    def _submit(self, configuration_id: str) -> None:
        self.ledger.tasks.append(self.submit_task("count", len(self.ledger.tasks)))
        if sum(watcher.is_alive() for watcher in self.ledger.watchers) >= AT_ONCE:
            return
        self.ledger.chords.append(self.submit_task("become_chord", CHORD_SIZE))
        run_id = self._caller.post(f"/v1/test-configurations/{configuration_id}/execute", {})["test_run_id"]
        watcher = Watcher(self._new_caller(), run_id)
        self.ledger.watchers.append(watcher)
        watcher.start()

    def _configure(self) -> str:
        application = {"url": self._stack.endpoint.url, "request": {"input": "{{ input }}"}}
        endpoint = self._made("endpoints", name="app", response={"output": "$.output"}, **application)
        test_set = self._made("test-sets", name="questions", tests=tests_of_a_run())
        ids = {"endpoint_id": endpoint, "test_set_id": test_set}
        return self._made("test-configurations", name="faults", concurrency=10, metrics=[{"type": "equals"}], **ids)

    def _made(self, resource: str, **body: Any) -> str:
        return str(self._caller.post(f"/v1/{resource}", body)["id"])


def tests_of_a_run() -> list[dict[str, str]]:
    return [_test(number) for number in range(TESTS)]


def _test(number: int) -> dict[str, str]:
    """Of 200 tests, 10 cannot be executed, 40 fail and the others pass."""
    if number < ERRORED:
        return {"input": "fail", "expected": "an answer"}
    wrong = number < ERRORED + FAILED
    return {"input": f"question {number}", "expected": "another answer" if wrong else f"question {number}"}
