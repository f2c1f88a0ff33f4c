"""Commands that are forks of a process which has imported everything, to whoever would else start them anew."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: What is asked for in a usual command line, by the name of the program.
MODULES = {"celery": "celery", "gateway.cli.main": "gateway"}


def begin(
    command: Sequence[str], environment: Mapping[str, str], files: Sequence[int], code: Path = ROOT
) -> subprocess.Popen[bytes] | Fork:
    """Start a command in the folder of its code, with these as stdin, stdout and stderr, and in a session of its own.

    It is a fork in a run of tests, where it is one of ours: what is measured, or is another version, is started as
    everybody starts it.
    """
    program = MODULES.get(command[2]) if list(command[:2]) == [sys.executable, "-m"] else None
    if program is not None and code == ROOT and "PYTEST_VERSION" in os.environ:
        return Fork([program, *command[3:]], environment, files)
    stdin, stdout, stderr = files
    return subprocess.Popen(
        command, cwd=code, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )


class Fork:
    """A forked command, as `subprocess.Popen` has it, as far as the suite uses that."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], files: Sequence[int]) -> None:
        self._told = socket.socket(socket.AF_UNIX)
        self._told.connect(server())
        asked = {"arguments": command, "folder": str(ROOT), "environment": dict(environment), "session": True}
        socket.send_fds(self._told, [json.dumps(asked).encode()], files)
        self._answers = self._told.makefile("r")
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status; negative is the signal that ended it, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float) -> int:
        if self.returncode is None:
            if not _is_readable(self._told, timeout):
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._told.close()
        return self.returncode

    def terminate(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


def _is_readable(told: socket.socket, seconds: float) -> bool:
    return bool(select.select([told], [], [], seconds)[0])


@cache
def server() -> str:
    """The socket at which forks are to be had, from a process that ends with this one."""
    folder = tempfile.TemporaryDirectory(prefix="gwforks-")
    path = f"{folder.name}/socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stack.forks", path],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said, "nothing can be forked"
    owner = socket.socket(socket.AF_UNIX)
    owner.connect(path)

    def end() -> None:
        owner.close()
        process.wait()
        folder.cleanup()

    atexit.register(end)
    return path
