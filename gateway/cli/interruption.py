"""Ends the process at Ctrl-C, whatever it is doing: nothing is raised that a library could catch, change or lose."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from gateway.cli.failures import ExitStatus

_SHOW_CURSOR = "\x1b[?25h"


@dataclass(slots=True)
class Farewell:
    """What is said when the process is interrupted; nothing, until there is something to say."""

    text: str = ""
    on_stderr: bool = False

    def say(self) -> None:
        """Write past `sys.stdout`, which may be in the middle of a write."""
        target = (sys.stderr if self.on_stderr else sys.stdout).fileno()
        after_live_bar = f"{_SHOW_CURSOR}\n" if os.isatty(target) else ""
        os.write(target, f"{after_live_bar}{self.text}".encode(errors="backslashreplace"))


@contextmanager
def ending_at_once() -> Iterator[Farewell]:
    """Within the block SIGINT says the farewell and ends the process with 130; for work that needs no tidying up.

    Where the process was started with SIGINT ignored, as scripts do with what runs in their background, it stays so.
    """
    farewell = Farewell()

    def leave(_number: int, _frame: FrameType | None) -> None:
        with suppress(OSError, ValueError):
            farewell.say()
        os._exit(ExitStatus.INTERRUPTED)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield farewell
        return
    signal.signal(signal.SIGINT, leave)
    try:
        yield farewell
    finally:
        signal.signal(signal.SIGINT, before)
