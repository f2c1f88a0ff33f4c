"""The previous release: its commit, what was recorded of it, and its code, where the history is there."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stack.process import ROOT, _clean_environment

KEPT = Path(__file__).parent / "kept"
_RELEASE = KEPT / "release.json"
#: What its processes need.
_PARTS = ("gateway", "workerapp", "tests", "openapi.yaml", "pyproject.toml")


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is known of it here; `recording` names the rows that its processes left in the dump beside."""

    commit: str
    #: The newest of its migrations.
    revision: str
    recording: dict[str, Any]

    @property
    def dump(self) -> Path:
        return KEPT / f"{self.revision}.sql"

    def keep(self) -> None:
        _RELEASE.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def previous_release() -> Release:
    return Release(**json.loads(_RELEASE.read_text(encoding="utf-8")))


def code_of(commit: str, folder: Path) -> Path:
    """Its code, put into an empty folder; the test is skipped where the history does not have it."""
    # What a hook of Git's sets is of another command.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "archive", "--format=tar", commit, *_PARTS]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no git here, which has the previous release")
    if done.returncode != 0:
        pytest.skip(f"this checkout does not have the commit of the previous release, {commit[:12]}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def revision_of(code: Path) -> str:
    """The newest migration of a program."""
    return max(path.name[:4] for path in (code / "workerapp" / "db" / "migrations" / "versions").glob("0*.py"))


def command_of(code: Path, *arguments: str, **environment: str) -> str:
    """What `gateway` of that program prints."""
    command = [sys.executable, "-m", "gateway.cli.main", *arguments]
    variables = _clean_environment() | environment | {"PYTHONPATH": str(code)}
    done = subprocess.run(command, cwd=code, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
