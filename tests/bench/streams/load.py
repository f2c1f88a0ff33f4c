"""The load generator as Python sees it: compiled when needed, one process for each crowd of clients."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SOURCE = Path(__file__).with_name("load.c")


class LoadFailed(Exception):
    """Nothing can be measured; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Reception:
    """What the clients of one window saw; times in seconds."""

    deliveries: int
    bytes: int
    reads: int
    p50: float
    p99: float
    longest: float
    #: Connections that the server has closed so far.
    closed: int
    #: From the beginning to the last delivery.
    seconds: float
    #: Processor time of the load generator.
    load_cpu: float


def compile_load(folder: Path) -> Path:
    """Build the load generator.

    Raises:
        LoadFailed: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise LoadFailed(
            "The load generator is written in C: install a C compiler (on Debian and Ubuntu: apt install gcc)."
        )
    program = folder / "load"
    subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
    return program


class Crowd:
    """Clients that follow the same server, all connected inside its `with` block."""

    def __init__(self, program: Path, *, port: int, paths: Sequence[str], clients: int, header: str = "") -> None:
        listing = program.with_name(f"paths-{port}")
        listing.write_text("".join(f"{path}\n" for path in paths))
        self._command = [str(program), str(port), str(clients), str(listing), header]

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.communicate()

    def expect(self, deliveries: int, seconds: float) -> None:
        """Begin a window for so many deliveries, published within so many seconds."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{deliveries} {round(seconds * 1000)}\n")
        self._child.stdin.flush()
        self._answer()

    def received(self) -> Reception:
        """What came, as soon as the window is over."""
        told = self._answer()
        return Reception(
            deliveries=told["deliveries"],
            bytes=told["bytes"],
            reads=told["reads"],
            p50=told["p50_us"] / 1e6,
            p99=told["p99_us"] / 1e6,
            longest=told["max_us"] / 1e6,
            closed=told["closed"],
            seconds=told["seconds"],
            load_cpu=told["load_cpu"],
        )

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise LoadFailed("The load generator has ended; what it said is above.")
        return dict(json.loads(line))
