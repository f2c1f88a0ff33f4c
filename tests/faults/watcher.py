"""A client that follows one run to its end and writes down what it was told."""

from __future__ import annotations

import threading

from tests.faults.caller import Caller, GaveUp
from tests.stack.client import StreamEvent
from workerapp.contract.events import TERMINAL_TYPES


class Watcher(threading.Thread):
    """Comes back with its last cursor, whatever happens to the gateways, until it has seen the terminal event."""

    def __init__(self, caller: Caller, run_id: str) -> None:
        super().__init__(daemon=True, name=f"watch-{run_id}")
        self._caller = caller
        self.run_id = run_id
        self.events: list[StreamEvent] = []

    @property
    def resumed(self) -> int:
        return max(0, self._caller.connections - 1)

    def run(self) -> None:
        try:
            for event in self._caller.follow(f"/v1/test-runs/{self.run_id}/events", "0"):
                # Only what is said about the connection itself has a name: lagged, draining.
                if event.kind in {"message", "reset"}:
                    self.events.append(event)
                if self.has_ended:
                    return
        except GaveUp:
            return
        finally:
            self._caller.close()

    @property
    def has_ended(self) -> bool:
        return bool(self.events) and self.events[-1].kind == "message" and self.events[-1].type in TERMINAL_TYPES

    def problems(self, last_seq: int) -> list[str]:
        """What is wrong with what it saw of a run whose last event has this number."""
        seen = [event.seq if event.kind == "message" else event.kind for event in self.events]
        if seen == list(range(1, last_seq + 1)) and self.has_ended:
            return []
        odd = [here for number, here in enumerate(seen, start=1) if here != number][:5]
        return [f"the watcher of run {self.run_id} saw {len(seen)} of {last_seq} events; first out of order: {odd}"]
