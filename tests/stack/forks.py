"""Runs `gateway` and `celery` in forks of a process that has imported them once, which spares each a second or two.

`python -m tests.stack.forks SOCKET` serves for as long as its first connection is open; tests/stack/forked.py asks. The
command itself is as always: a process with the folder, the environment, the arguments and the files of who asks.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any, TextIO

from celery.__main__ import main as celery

from gateway.cli.main import COMMANDS
from gateway.cli.main import main as gateway

READY = "forks commands"
PROGRAMS = {"gateway": gateway, "celery": celery}
#: Neither reads the environment nor opens anything when it is imported. `workerapp.celery` does, and is not here.
IMPORTED = (
    *(f"gateway.cli.{name.replace('-', '_')}" for name in COMMANDS),
    *("gateway.app", "gateway.cli.server", "gateway.stream.server", "gateway.transport.connection"),
    *("workerapp.app", "workerapp.backend", "workerapp.broker", "workerapp.prefork", "workerapp.metrics"),
    *("celery.bin.celery", "celery.bin.worker", "celery.apps.worker", "celery.worker.consumer"),
    *("celery.concurrency.prefork", "celery.concurrency.solo", "celery.worker.components", "celery.worker.strategy"),
    *("asyncpg", "psycopg", "uvloop", "uvicorn.protocols.websockets.websockets_sansio_impl", "uvicorn.lifespan.on"),
    *("sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.dialects.postgresql.psycopg"),
)


def serve(path: str) -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print(READY, flush=True)
        owner, _ = listener.accept()
        while owner not in select.select([listener, owner], [], [])[0]:
            asked, _ = listener.accept()
            with asked:
                if os.fork() == 0:
                    listener.close()
                    owner.close()
                    _answer(asked)


def _answer(asked: socket.socket) -> None:
    """Execute a command in one more fork, and tell its process and its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(asked, 1 << 20, 3)
    child = os.fork()
    if child == 0:
        asked.close()
        # Not at once: what a process does when it ends is a part of it.
        sys.exit(_execute(json.loads(message), files))
    for file in files:
        os.close(file)
    asked.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    asked.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _execute(command: dict[str, Any], files: Sequence[int]) -> Any:
    if command["session"]:
        os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end of the process
    sys.stdout = sys.__stdout__ = _written(1)
    sys.stderr = sys.__stderr__ = _written(2)
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.path[:0] = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry not in sys.path]
    sys.argv = list(command["arguments"])
    return PROGRAMS[sys.argv[0]]()


def _written(number: int) -> TextIO:
    """What is written comes out at once, as with PYTHONUNBUFFERED."""
    return TextIOWrapper(open(number, "wb", 0, closefd=False), "utf-8", write_through=True)


if __name__ == "__main__":
    serve(sys.argv[1])
