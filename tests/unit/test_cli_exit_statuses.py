"""The table of exit statuses in docs/cli.md is what commands end with."""

from __future__ import annotations

import re

import pytest

from gateway.cli import failures
from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.main import COMMANDS, main
from tests.stack.process import ROOT


def table() -> dict[int, str]:
    """What each exit status is said to mean."""
    part = (ROOT / "docs" / "cli.md").read_text().partition("## Exit statuses")[2].partition("\n## ")[0]
    return {int(status): meaning for status, meaning in re.findall(r"^\| (\d+) \| (.+?) \|", part, re.MULTILINE)}


def test_every_exit_status_is_in_the_table_and_no_other() -> None:
    assert table().keys() == {int(status) for status in ExitStatus}


def test_every_way_to_fail_has_a_status_of_the_table() -> None:
    ways = [kind for kind in vars(failures).values() if isinstance(kind, type) and issubclass(kind, CommandFailed)]
    assert {kind.status for kind in ways} == {ExitStatus.FAILED, ExitStatus.USAGE, ExitStatus.UNREACHABLE}
    assert {int(kind.status) for kind in ways} <= table().keys()


def test_the_table_names_commands_that_exist() -> None:
    named = {command for meaning in table().values() for command in re.findall(r"`gateway ([a-z-]+)`", meaning)}
    assert named
    assert named <= COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_called_wrongly_ends_with_the_status_of_that(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--no-such-option"])
    assert ended.value.code == ExitStatus.USAGE
    assert f"usage: gateway {command}" in capsys.readouterr().err
