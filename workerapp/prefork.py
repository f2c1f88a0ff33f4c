"""Celery's pool of processes, made to know after an outage of the broker what its processes do and say.

When the connection to a broker is lost, Celery resets its event loop. With the loop goes how far it had read what a
process was just saying, such as how a task ended: what followed was taken for the beginning of something else, so that
the message of that task was never acknowledged, and now and then the worker fell. And tasks that had been given to a
process which had not said yet that it begins were forgotten, and executed a second time.
"""

# ruff: noqa: SLF001 - Celery's pool is told by its jobs' private attributes where they are
from __future__ import annotations

from collections.abc import Callable, Generator
from inspect import GEN_SUSPENDED, getgeneratorstate
from typing import Any

from celery.concurrency import asynpool, prefork

#: Reads one thing a process says, and pauses when there is no more of it in the pipe yet.
Reading = Generator[None, None, None]


class ResultHandler(asynpool.ResultHandler):  # type: ignore[misc]  # Celery has no types
    """Goes on reading where it was interrupted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: By file descriptor, and the queue it belonged to: another queue may get the same number.
        self._readings: dict[int, tuple[Any, Reading]] = {}

    def finish(self, process: Any) -> bool:
        """Read the rest of what a process that is gone had begun to say; false: it never said all of it."""
        reading = self._paused(process.outqR_fd, process)
        if reading is None:
            return True
        try:
            return next(reading, StopIteration) is StopIteration
        except (OSError, EOFError):
            return False

    def _recv_message(self, add_reader: Any, fd: int, callback: Any, **options: Any) -> Reading:
        reading: Reading = super()._recv_message(add_reader, fd, callback, **options)
        self._readings[fd] = self.fileno_to_outq[fd].outq, reading
        return reading

    def _make_process_result(self, hub: Any) -> Callable[[int], None]:
        begin: Callable[[int], None] = super()._make_process_result(hub)

        def on_result_readable(fd: int) -> None:
            reading = self._paused(fd, self.fileno_to_outq.get(fd))
            if reading is None:
                begin(fd)
            else:
                hub.add_reader(fd, reading)

        return on_result_readable

    def _finish_partial_read(self, fd: int, proc: Any) -> bool:
        """At the worker's end: Celery looks for the reading in its loop, which may have been reset."""
        reading = self._paused(fd, proc)
        if reading is not None:
            self._hub.readers[fd] = reading, ()
        return bool(super()._finish_partial_read(fd, proc))

    def _paused(self, fd: int, process: Any) -> Reading | None:
        queue, reading = self._readings.get(fd, (None, None))
        if reading is None or process is None or process.outq is not queue:
            return None
        return reading if getgeneratorstate(reading) == GEN_SUSPENDED else None


class Pool(asynpool.AsynPool):  # type: ignore[misc]
    """Keeps the jobs that its processes have been given, whatever becomes of the connection."""

    ResultHandler = ResultHandler

    def apply_async(self, *args: Any, **options: Any) -> Any:
        job = super().apply_async(*args, **options)
        job.pool = self
        return job

    def flush(self) -> None:
        """When the connection is lost: forget what no process has been given yet; it will be delivered again."""
        given = [job for job in self._cache.values() if job._write_to is not None]
        super().flush()
        for job in given:
            if not job.ready() and self._cache.setdefault(job._job, job) is job:
                self._look_after(job)

    def _look_after(self, job: Any) -> None:
        if not job.accepted() and not job._write_to._is_alive():
            self.on_job_process_down(job, job._write_to.pid)

    def on_partial_read(self, job: Any, proc: Any) -> None:
        """The process is gone before it began: Celery puts the job back, and now no process has it."""
        super().on_partial_read(job, proc)
        job._write_to = job._scheduled_for = None

    def process_flush_queues(self, proc: Any) -> None:
        """Read what a process that is gone has left behind."""
        if self._result_handler.finish(proc):
            super().process_flush_queues(proc)


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """What `prefork` means where `workerapp.broker.register()` was called."""

    Pool = Pool


def is_given(request: Any) -> bool:
    """Whether a process has this request, and executes it or soon will, connection or no connection."""
    job = request._apply_result and request._apply_result()
    return isinstance(getattr(job, "pool", None), Pool) and job._write_to is not None
