"""Runs the blocks of one page in their order, in one folder and one environment, as somebody who reads it would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from gateway.embedded.account import serving_account
from gateway.embedded.binaries import reachable_binaries
from tests.documents.blocks import Block
from tests.documents.shapes import Shapes
from tests.stack.process import _clean_environment

STAND_INS = ("gateway", "celery", "curl", "make", "pip", "python")
SECONDS = 90
#: Assigned variables are kept from block to block, as in a terminal; a block ends with the first command that fails.
_SHELL = """\
set -aeuo pipefail
{text}
{{ pwd; env -0; }} >&3
"""


class StoryBroken(AssertionError):
    """A block failed, or said something else than its page shows."""


@dataclass
class Story:
    """A page as it is told: where it has come to, and what the last block said."""

    folder: Path
    environment: dict[str, str]
    #: What is put in the place of addresses, keys and ids that a page can only hint at.
    substitutions: Mapping[str, str]
    owner_url: str
    shapes: Shapes = field(default_factory=Shapes)
    said: str = ""

    def __post_init__(self) -> None:
        self.where = self.folder / "here"
        self.where.mkdir(parents=True)
        stand_ins = self.folder / "bin"
        stand_ins.mkdir()
        for name in STAND_INS:
            path = stand_ins / name
            path.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m tests.documents.stand_in {name} "$@"\n')
            path.chmod(0o755)
        # `pg_dump` and its like have to be of the server's version.
        postgres = reachable_binaries(serving_account())
        search = [str(stand_ins), str(Path(sys.executable).parent), str(postgres), os.environ["PATH"]]
        self.environment = _clean_environment() | {"PATH": os.pathsep.join(search)} | self.environment
        # So many commands one after the other are compiled once.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def tell(self, block: Block) -> None:
        """Execute a block, or hold it against what the one before it said."""
        if block.mark == "file":
            self._write(block)
        elif block.language == "console":
            self._converse(block)
        elif block.language in {"sh", "bash"}:
            self.said = self._shell(block, block.text)
        elif block.language == "python":
            self.said = self._run(block, [sys.executable, "-c", self._placed(block.text)])
        elif block.language == "sql":
            self._query(block)
        else:
            self._compare(block, block.text)

    def _write(self, block: Block) -> None:
        path = self.where / block.about
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._placed(block.text), encoding="utf-8")

    def _converse(self, block: Block) -> None:
        for command, shown in _turns(block.text):
            self.said = self._shell(block, command)
            self._compare(block, shown)

    def _shell(self, block: Block, text: str) -> str:
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as left:
            script = _SHELL.format(text=self._placed(text)).replace(">&3", f">&{writing}")
            try:
                said = self._run(block, ["bash", "-c", script], writing)
            finally:
                os.close(writing)
            where, _, variables = left.read().decode().partition("\n")
        self.where = Path(where)
        self.environment = dict(item.split("=", 1) for item in variables.split("\0") if item)
        return said

    def _run(self, block: Block, command: list[str], *kept: int) -> str:
        done = subprocess.run(
            command,
            cwd=self.where,
            env=self.environment | {"PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            pass_fds=kept,
            check=False,
        )
        if done.returncode != 0:
            raise StoryBroken(f"{block} ended with {done.returncode}:\n{block.text}\n{done.stdout}")
        return done.stdout

    def _query(self, block: Block) -> None:
        with psycopg.connect(self.owner_url) as connection:
            connection.execute(self._placed(block.text).encode())
            connection.rollback()

    def _compare(self, block: Block, shown: str) -> None:
        missing = self.shapes.difference(shown, self.said)
        if missing is not None:
            raise StoryBroken(f"{block} shows\n{missing}\nwhich was not said, or not in this place:\n{self.said}")

    def _placed(self, text: str) -> str:
        for shown, given in self.substitutions.items():
            text = text.replace(shown, given)
        return self.shapes.translate(text)


def _turns(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console, and what is shown below it."""
    command: list[str] = []
    shown: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield "\n".join(command), "\n".join(shown)
            command, shown = [line.removeprefix("$ ")], []
        elif command and command[-1].endswith("\\") and not shown:
            command.append(line)
        else:
            shown.append(line)
    yield "\n".join(command), "\n".join(shown)
