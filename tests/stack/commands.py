"""The `gateway` command as people run it, and what it leaves running."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import httpx

from tests.stack.forked import begin
from tests.stack.process import Process, _clean_environment
from tests.waiting import until

COMMAND = [sys.executable, "-m", "gateway.cli.main"]
PATIENCE = 90.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str


def run_command(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run `gateway …` to its end."""
    command = [*COMMAND, *map(str, arguments)]
    with TemporaryFile() as stdout, TemporaryFile() as stderr, Path(os.devnull).open("rb") as nothing:
        files = [nothing.fileno(), stdout.fileno(), stderr.fileno()]
        status = begin(command, _clean_environment() | dict(environment or {}), files).wait(PATIENCE)
        said, complained = (_written(file) for file in (stdout, stderr))
    assert "Traceback" not in complained, complained
    return Ended(status=status, stdout=said, stderr=complained)


def _written(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


class Command(Process):
    """A `gateway …` that is watched while it runs."""

    def __init__(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(f"gateway {arguments[0]}", [*COMMAND[1:], *map(str, arguments)], environment or {})

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and return its exit status."""
        os.kill(self.pid, number)
        return self.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._child is not None
        return self._child.wait(PATIENCE)


@dataclass(frozen=True, kw_only=True)
class Up:
    """A `gateway up` that is ready."""

    command: Command
    url: str
    api_key: str
    organization_id: str

    @property
    def environment(self) -> dict[str, str]:
        return {"GATEWAY_URL": self.url, "GATEWAY_API_KEY": self.api_key}

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)


@contextmanager
def gateway_up(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Up]:
    """Run `gateway up` on a free port."""
    with Command("up", "--json", "--port", "0", *arguments, environment=environment) as command:
        ready = json.loads(command.wait_for(r'^\{"url".*\}$', PATIENCE)[0])
        yield Up(command=command, **ready)


def echo(up: Up, message: str) -> Any:
    """Have the worker answer."""
    with up.client() as client:
        submitted = client.post("/v1/tasks", json={"name": "echo", "args": [message]})
        assert submitted.status_code == 202, submitted.text
        path = submitted.json()["links"]["self"]

        def result() -> Any:
            task = client.get(path).json()
            return task["result"] if task["status"] == "SUCCESS" else None

        return until(result, 30)


def descendants(pid: int) -> dict[int, str]:
    """Every process below another, and its command line."""
    parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found: set[int] = set()
    while fresh := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= fresh
    return {child: command for child in found if (command := _command(child))}


def living(processes: Mapping[int, str]) -> dict[int, str]:
    """Those that are still there."""
    return {pid: command for pid, command in processes.items() if _command(pid) == command}


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
