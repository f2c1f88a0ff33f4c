"""Starts processes, starts those again that end unasked, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from gateway.cli.failures import CommandFailed
from gateway.cli.keeping import Keeper
from gateway.cli.stop_signals import StopSignals

_PAUSE = 0.1
#: A process that lives shorter than this was not up.
_SOON = 15.0
_MOST_SOON = 3
_LONGEST_REST = 5.0


class ProcessEnded(CommandFailed):
    """A process that is needed does not stay alive; the message says which, and what it said last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What is to be started."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    #: Where its output goes; None means to our stderr.
    log: Path | None = None
    #: Asked to stop by each in turn, over the time there is.
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    #: Descriptors it inherits.
    inherits: tuple[int, ...] = ()


@dataclass(slots=True)
class Process:
    """A program that runs, or is about to run again."""

    program: Program
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    starts_at: float = 0.0
    soon_ended: int = 0
    log_start: int = field(default=0)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.program.name


class Supervisor:
    """Holds processes for the length of its `with` block.

    Each runs in a session of its own, so that a Ctrl-C of the terminal reaches it only through here.
    """

    def __init__(self, signals: StopSignals, keeper: Keeper, *, stop_seconds: float) -> None:
        self._signals = signals
        self._keeper = keeper
        self._stop_seconds = stop_seconds
        self._processes: list[Process] = []
        self._needed: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._signals.stopping():
            print("Stopping; once more stops at once.", file=sys.stderr, flush=True)
        self._end([process for process in reversed(self._processes) if process.child is not None], self._stop_seconds)

    def start(self, program: Program) -> Process:
        """Start a program that must stay alive."""
        process = Process(program)
        self._processes.append(process)
        self._spawn(process)
        return process

    def need(self, name: str, pid: int) -> None:
        """Give up when this process, which somebody else started and stops, is gone."""
        self._needed[name] = pid

    def wait(self, is_over: Callable[[], bool], seconds: float | None = None) -> bool:
        """Keep the processes alive until `is_over`, or until the time is up; tells whether it is over.

        Raises:
            ProcessEnded: a process does not stay alive.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not is_over():
            self._look_for_needed()
            for process in self._processes:
                self._look_after(process)
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def run(self, program: Program, output: IO[bytes]) -> int:
        """Run a program to its end, meanwhile keep the others alive, and return its exit status."""
        process = Process(program)
        self._processes.append(process)
        self._spawn(process, output)
        child = process.child
        assert child is not None
        try:
            self.wait(lambda: _has_ended(child))
        except BaseException:
            self._end([process], 1.0)
            raise
        finally:
            self._processes.remove(process)
        self._reap(process)
        return child.returncode

    def _spawn(self, process: Process, output: IO[bytes] | None = None) -> None:
        program = process.program
        log = None if program.log is None else program.log.open("ab")
        process.log_start = 0 if log is None else log.tell()
        try:
            process.child = subprocess.Popen(  # noqa: S603 - our own argument lists, no shell
                program.command,
                env=program.environment,
                stdin=subprocess.DEVNULL,
                stdout=output or log or sys.stderr.fileno(),
                stderr=log or sys.stderr.fileno(),
                pass_fds=program.inherits,
                start_new_session=True,
            )
        finally:
            if log is not None:
                log.close()
        process.started_at = time.monotonic()
        self._keeper.hold(process.child.pid, program.stop_signals[0])

    def _look_for_needed(self) -> None:
        for name, pid in self._needed.items():
            if not _is_alive(pid):
                raise ProcessEnded(f"{name} ended unasked, and everything with it")

    def _look_after(self, process: Process) -> None:
        if process.child is None:
            if time.monotonic() >= process.starts_at:
                self._spawn(process)
        elif _has_ended(process.child):
            status = self._reap(process)
            self._plan_restart(process, status)

    def _plan_restart(self, process: Process, status: int) -> None:
        lived = time.monotonic() - process.started_at
        process.soon_ended = process.soon_ended + 1 if lived < _SOON else 1
        said = f"The {process.name} ended unasked ({_in_words(status)})"
        if process.soon_ended >= _MOST_SOON:
            raise ProcessEnded(f"{said}, {_MOST_SOON} times soon after its start. {_last_words(process)}".rstrip())
        rest = min(2.0 ** (process.soon_ended - 2), _LONGEST_REST)
        print(f"{said}; it is started again.", file=sys.stderr, flush=True)
        process.starts_at = time.monotonic() + rest

    def _reap(self, process: Process) -> int:
        """Collect a process that has ended, with whatever is left of its group."""
        child, process.child = process.child, None
        assert child is not None
        # Its number is not given away before it is collected, so the group is still its own.
        _signal_group(child, signal.SIGKILL)
        status = child.wait()
        self._keeper.forget(child.pid)
        return status

    def _end(self, processes: Sequence[Process], seconds: float) -> None:
        began = time.monotonic()
        asked: dict[str, int] = {}
        left = list(processes)
        while left and time.monotonic() < began + seconds and not self._signals.is_hurry:
            for process in left:
                self._ask(process, asked, (time.monotonic() - began) / seconds)
            time.sleep(_PAUSE / 2)
            left = [process for process in left if not self._has_been_reaped(process)]
        for process in left:
            self._reap(process)

    def _ask(self, process: Process, asked: dict[str, int], elapsed: float) -> None:
        """Send the signal that is due, when a share `elapsed` of the time has gone."""
        signals = process.program.stop_signals
        due = min(int(elapsed * len(signals)) + 1, len(signals))
        if asked.get(process.name, 0) < due and process.child is not None:
            asked[process.name] = due
            process.child.send_signal(signals[due - 1])

    def _has_been_reaped(self, process: Process) -> bool:
        if process.child is not None and _has_ended(process.child):
            self._reap(process)
        return process.child is None


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether it ended; where the system can tell, without collecting it."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return child.poll() is not None
    return _is_zombie(child.pid)


def _is_zombie(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _is_alive(pid: int) -> bool:
    """Whether there is such a process; one of our own that ended does not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return not _is_zombie(pid)
    except (ChildProcessError, AttributeError):  # not ours, or macOS before Python 3.13
        return True


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _in_words(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _last_words(process: Process, most: int = 2000) -> str:
    log = process.program.log
    if log is None:
        return ""
    with log.open("rb") as file:
        file.seek(max(process.log_start, log.stat().st_size - most))
        return f"Its log {log} ends with:\n{file.read().decode(errors='replace').strip()}"
