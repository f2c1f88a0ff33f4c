"""What the dashboard computes, tried in node: see tests/dashboard."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.stack.process import ROOT

CASES = sorted((ROOT / "tests" / "dashboard").glob("*.test.js"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removesuffix(".test.js"))
def test_the_dashboards_modules_do_what_their_cases_say(case: os.PathLike[str]) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    # Nothing says of a file alone that it is a module, which node remarks.
    ended = subprocess.run(
        ["node", "--test", os.fspath(case)],
        env=os.environ | {"NODE_NO_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "# pass 0\n" not in ended.stdout
