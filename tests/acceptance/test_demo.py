"""`gateway demo`: the first thing a newcomer sees."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.stack.commands import Command, descendants, living


def test_the_demo_ends_as_it_is_written_to_and_stays_up_until_it_is_stopped(reachable_folder: Path) -> None:
    data = reachable_folder / "data"
    with Command("demo", "--port", "0", "--data-dir", data, "--exit") as demo:
        demo.wait_for("The run ended as partial: 48 tests, 36 passed, 8 failed, 4 errors", 90)
        assert demo.wait() == 0
    with Command("demo", "--port", "0", "--data-dir", data) as demo:
        demo.wait_for("partial: 48 of 48 tests done", 90)
        demo.wait_for(r"URL +http://127\.0\.0\.1:\d+")
        demo.wait_for(r"API key +tsg_\w+")
        demo.wait_for("Ctrl-C stops everything")
        processes = descendants(demo.pid)
        assert any("gateway.demo.application" in command for command in processes.values())
        assert demo.end(signal.SIGINT) == 0
        assert living(processes) == {}


@pytest.mark.long
def test_the_suite_that_is_told_to_be_tried_can_be_tried(reachable_folder: Path) -> None:
    with Command("demo", "--port", "0", "--data-dir", reachable_folder / "data") as demo:
        demo.wait_for("Ctrl-C stops everything", 90)
        exports = dict(re.findall(r"export (\w+)=(\S+)", "\n".join(demo.lines("export"))))
        suite = demo.wait_for(r"run (\S+suite\.yaml)")[1]
        with Command("run", suite, environment=exports) as again:
            again.wait_for("partial: 48 tests, 36 passed, 8 failed, 4 errors", 60)
            assert again.wait() == 1
