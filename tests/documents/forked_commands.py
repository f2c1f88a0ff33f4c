"""Runs `gateway` and `celery` in forks of a process that has imported them once, which spares each the second it takes.

`python -m tests.documents.forked_commands SOCKET` serves; `run` asks it. The command itself is as always: it has the
folder, the environment, the arguments and the files of who asks.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence

from celery.__main__ import main as celery

from gateway.cli.main import COMMANDS
from gateway.cli.main import main as gateway

READY = "forks commands"
_PROGRAMS = {"gateway": gateway, "celery": celery}


def serve(path: str) -> None:
    for name in COMMANDS:
        importlib.import_module(f"gateway.cli.{name.replace('-', '_')}")
    for name in ("celery.bin.celery", "workerapp.app", "workerapp.backend", "workerapp.broker"):
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print(READY, flush=True)
        while True:
            asked, _ = listener.accept()
            with asked:
                if os.fork() == 0:
                    listener.close()
                    _answer(asked)


def _answer(asked: socket.socket) -> None:
    """Execute a command in one more fork, and tell its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(asked, 1 << 20, 3)
    child = os.fork()
    if child == 0:
        os._exit(_execute(json.loads(message), files))
    _, status = os.waitpid(child, 0)
    asked.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _execute(command: dict[str, object], files: Sequence[int]) -> int:
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(str(command["folder"]))
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.argv = list(command["arguments"])
    try:
        status = _PROGRAMS[sys.argv[0]]()
    except SystemExit as ended:
        status = ended.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status or 0)


if __name__ == "__main__":
    serve(sys.argv[1])
