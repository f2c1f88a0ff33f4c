"""Ctrl-C ends a command at any moment, whatever catches exceptions there."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

READING = """
import sys
from gateway.cli.interruption import ending_at_once

with ending_at_once() as farewell:
    farewell.text = "the run goes on\\n"
    print("ready", flush=True)
    sys.stdin.read()
"""
#: As a finalizer does, or a library that tidies up after everything.
SWALLOWING = READING.replace(
    "    sys.stdin.read()",
    """
    while True:
        try:
            sys.stdin.read()
        except BaseException:
            pass
""",
)


@pytest.mark.parametrize("script", [READING, SWALLOWING])
def test_nothing_can_keep_it_from_ending(script: str) -> None:
    assert interrupted(script) == (130, "the run goes on\n")


def test_what_runs_in_the_background_of_a_script_is_not_interrupted() -> None:
    ignoring = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    script = ignoring + READING + "print('ended by itself')"
    assert interrupted(script) == (0, "ended by itself\n")


def interrupted(script: str) -> tuple[int, str]:
    """The exit status, and what was said after the signal."""
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        child.stdin.close()
        said = child.stdout.read()
    return child.returncode, said
