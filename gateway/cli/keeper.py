"""Stops what a `gateway up` leaves behind when it is killed without a chance to do so itself.

It runs beside `gateway up`, with the standard library only, and reads lines from it: `+PID SIGNAL`, `-PID`, and
`@PATH` of a file that is locked while it lives. At the end of its input every process still on the list, each the
leader of a process group, gets its signal, and the group SIGKILL when the time is up.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

_PAUSE = 0.05
_SHARE_OF_THE_FIRST = 0.3


def main(seconds: float) -> None:
    """Read until the end of the input, then stop what is left within so many seconds."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    left: dict[int, int] = {}
    for line in sys.stdin:
        kind, rest = line[0], line[1:].removesuffix("\n")
        if kind == "@":
            _lock(rest)
        elif kind == "+":
            pid, number = rest.split()
            left[int(pid)] = int(number)
        else:
            left.pop(int(rest), None)
    stop(left, seconds)


def stop(left: dict[int, int], seconds: float) -> None:
    """Stop process groups, given by their leaders and the signal each leader understands as a request.

    What was named first, the database, is stopped last: the others need it to stop in good order.
    """
    first = dict(list(left.items())[:1])
    others = {pid: number for pid, number in left.items() if pid not in first}
    _stop_together(others, seconds * (1 - _SHARE_OF_THE_FIRST))
    _stop_together(first, seconds * _SHARE_OF_THE_FIRST)


def _stop_together(left: dict[int, int], seconds: float) -> None:
    for pid, number in left.items():
        _send(os.kill, pid, number)
    deadline = time.monotonic() + seconds
    groups = set(left)
    while groups and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        groups = {pid for pid in groups if _send(os.killpg, pid, 0)}
    for pid in groups:
        _send(os.killpg, pid, signal.SIGKILL)


def _lock(path: str) -> None:
    """Hold the file as long as this process lives; whoever else wants it waits until everything is stopped."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _send(how: Callable[[int, int], None], pid: int, number: int) -> bool:
    with suppress(ProcessLookupError, PermissionError):
        how(pid, number)
        return True
    return False


if __name__ == "__main__":
    main(float(sys.argv[1]))
