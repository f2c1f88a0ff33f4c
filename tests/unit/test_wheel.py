"""What is installed has what is served: the pages, what they load, and the document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from tests.stack.process import ROOT

FOLDERS = ("gateway/reference", "gateway/ui", "workerapp/db/sql")


def test_the_wheel_has_every_file_that_is_served_or_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    packed = set(ZipFile(wheel).namelist())
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {"gateway/reference/page.html", "gateway/ui/index.html"} <= there
    assert there | {"gateway/openapi.yaml"} <= packed
