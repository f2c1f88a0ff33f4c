"""A child process of a test: started in a session of its own, watched through its output, and never left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.stack.forked import ROOT, Fork, begin

START_SECONDS = 30.0
STOP_SECONDS = 15.0
#: What the developer's own environment may set and a test's process must not inherit.
OURS = ("GATEWAY_", "CELERY_", "DATABASE_URL", "BROKER_URL", "PYTEST_")

#: What is running now; see tests/stack/report.py.
RUNNING: list[Process] = []


class ProcessFailed(Exception):
    """The process ended early, or never said what was waited for; its output is in the message."""


class Process:
    """Runs a command, of Python if no other program is named; its lines can be waited for, its whole group killed."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], program: str = sys.executable
    ) -> None:
        self.name = name
        #: The folder of the program: another one's is another version.
        self.code = ROOT
        self._command = [program, *arguments]
        self._environment = _clean_environment() | dict(environment)
        self._child: subprocess.Popen[bytes] | Fork | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False

    def __enter__(self) -> Self:
        RUNNING.append(self)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        RUNNING.remove(self)

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    @property
    def status(self) -> int | None:
        """What it exited with, negative for the signal that ended it; nothing while it runs."""
        assert self._child is not None, f"{self.name} was not started"
        return self._child.poll()

    def start(self) -> None:
        self._lines, self._ended = [], False
        environment = self._environment if self.code == ROOT else self._environment | {"PYTHONPATH": str(self.code)}
        output, written = os.pipe()
        with Path(os.devnull).open("rb") as nothing:
            self._child = begin(self._command, environment, [nothing.fileno(), written, written], self.code)
        os.close(written)
        self._reader = threading.Thread(target=self._read, args=(output,), name=f"read-{self.name}", daemon=True)
        self._reader.start()

    def _read(self, output: int) -> None:
        with open(output, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with self._news:
                    self._lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """The first line of this process that matches, as soon as it has been written."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if match := re.search(pattern, line):
                        return match
                seen = len(self._lines)
                if self._ended or not self._news.wait(deadline - time.monotonic()):
                    raise ProcessFailed(f"{self.name} never said {pattern!r}:\n{self.output()}")

    def assert_running(self) -> None:
        if self._ended:
            raise ProcessFailed(f"{self.name} has ended:\n{self.output()}")

    def lines(self, pattern: str) -> list[str]:
        """The lines so far that match."""
        with self._news:
            return [line for line in self._lines if re.search(pattern, line)]

    def output(self) -> str:
        return "\n".join(self._lines[-200:])

    def kill(self) -> None:
        """SIGKILL the whole group: nothing of it gets to clean up."""
        self._signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """End it as an operator would, and by force when that takes too long."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self._reap()

    def ended(self) -> int:
        """The exit status, as soon as it has ended by itself or by a signal."""
        assert self._child is not None, f"{self.name} was not started"
        return self._child.wait(STOP_SECONDS)

    def end(self, seconds: float) -> float:
        """Ask it to stop and leave it all the time that an orchestrator would; how long it took.

        Raises:
            subprocess.TimeoutExpired: it did not stop.
        """
        assert self._child is not None
        began = time.monotonic()
        self._child.terminate()
        self._child.wait(seconds)
        took = time.monotonic() - began
        self._reap()
        return took

    def restart(self) -> None:
        self.kill()
        self.start()

    def children(self) -> list[int]:
        """The processes it has started."""
        listing = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in listing.read_text().split()]

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _reap(self) -> None:
        assert self._child is not None
        assert self._reader is not None
        self._child.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had in use at once."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
