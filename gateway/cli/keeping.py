"""Our end of the keeper: it is told what runs, and it outlives us long enough to stop that."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from gateway.cli import keeper

_LOCK_FILE = "keeper.lock"
_PAUSE = 0.1


class Keeper:
    """The keeper process, for the length of a `with` block."""

    def __init__(self, stop_seconds: float) -> None:
        self._stop_seconds = stop_seconds
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        command = [sys.executable, "-I", "-S", str(Path(keeper.__file__)), f"{self._stop_seconds}"]
        self._process = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def hold(self, pid: int, stop_signal: signal.Signals) -> None:
        """Have this process, and the group it leads, stopped should we be killed."""
        self._tell(f"+{pid} {stop_signal.value}")

    def forget(self, pid: int) -> None:
        """A process has ended, or is somebody else's to stop."""
        self._tell(f"-{pid}")

    def lock(self, folder: Path) -> None:
        """Let the next user of the folder wait until the keeper has ended too."""
        self._tell(f"@{folder / _LOCK_FILE}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()


def wait_for_keeper(folder: Path, lock_of_the_living: str, seconds: float) -> None:
    """If the user of a folder was killed, wait until its keeper has stopped everything there.

    A folder whose own lock is held has a living user, who is not waited for.
    """
    deadline = time.monotonic() + seconds
    while _is_locked(folder / _LOCK_FILE) and not _is_locked(folder / lock_of_the_living):
        if time.monotonic() > deadline:
            return
        time.sleep(_PAUSE)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
