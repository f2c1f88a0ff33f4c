"""The `gateway` command on a terminal: what somebody sees who types it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from tests.stack.commands import COMMAND, PATIENCE
from tests.stack.process import ROOT, _clean_environment

_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_on_terminal(*arguments: str, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run `gateway …` to its end; its exit status, and all that was written to the terminal, without colors."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "160", "LINES": "40", "TERM": "xterm"}
    child = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=_clean_environment() | dict(environment) | size,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.STDOUT,
    )
    os.close(theirs)
    written = b""
    with suppress(OSError):  # the other side is closed
        while chunk := os.read(ours, 65536):
            written += chunk
    os.close(ours)
    return child.wait(PATIENCE), _STYLES.sub("", written.decode(errors="replace")).replace("\r", "\n")
