"""Runs the dispatcher of webhooks in the main process of every worker, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import atexit
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery import bootsteps

from workerapp.serving import ServingCheck
from workerapp.webhooks.dispatch import GRACE, Dispatch
from workerapp.webhooks.free_threads import FreeThreads

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

#: How long the end of the process waits for attempts to end, and for the last word to the database.
FAREWELL_SECONDS = GRACE + 1.0


class DispatcherStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Every worker has a dispatcher, unless its settings leave it no places; they share the work by claims on rows."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._dispatcher: Dispatcher | None = None

    def include_if(self, worker: Any) -> bool:
        return bool(worker.app.settings.webhooks.places)

    def start(self, worker: Any) -> None:
        self._dispatcher = Dispatcher(worker.app)
        self._dispatcher.start()
        atexit.register(self._dispatcher.join, FAREWELL_SECONDS)

    def stop(self, worker: Any) -> None:
        if self._dispatcher is not None:
            self._dispatcher.stop()

    terminate = stop


class Dispatcher(threading.Thread):
    """Dispatches until stopped."""

    def __init__(self, app: WorkerApp) -> None:
        super().__init__(name="webhooks", daemon=True)
        self._dispatch = Dispatch(app.settings, app.metrics.webhooks, app.traces)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._loop.set_default_executor(FreeThreads())

    def run(self) -> None:
        with self._runner:
            self._runner.run(self._dispatch.run())

    def stop(self) -> None:
        """Let attempts that are under way end, for a moment."""
        with suppress(RuntimeError):  # the loop is closed: it has ended
            self._loop.call_soon_threadsafe(self._dispatch.stop)
