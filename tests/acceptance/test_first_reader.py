"""Who has nothing but the repository reaches a finished run with what the README says first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stack.process import ROOT, _clean_environment

SECONDS = 900


@pytest.mark.long
@pytest.mark.timeout(SECONDS)
def test_a_fresh_clone_installs_itself_and_runs_the_demo(reachable_folder: Path) -> None:
    for tool in ("git", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    clone = reachable_folder / "task-status-gateway"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # On a data folder and a port of its own: the machine may have another demo.
    options = f"ARGS=--exit --port 0 --data-dir {reachable_folder / 'data'}"
    done = subprocess.run(
        ["make", "demo", options],
        cwd=clone,
        env={name: value for name, value in _clean_environment().items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "The run ended as partial: 48 tests, 36 passed, 8 failed, 4 errors" in done.stdout
