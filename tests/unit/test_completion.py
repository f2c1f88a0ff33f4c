"""The scripts of `gateway completion`, read by the shells that are here."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.cli.completion import SHELLS
from gateway.cli.main import COMMANDS, every_parser, main

#: What readline does: the words of the line, which of them is being completed, and the function of the command.
COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
function=$(complete -p gateway | sed 's/.* -F \\([^ ]*\\) gateway$/\\1/')
"$function" gateway "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" >&2
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("completion")
    return {shell: folder / shell for shell in SHELLS}


@pytest.fixture(autouse=True)
def _written(scripts: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for shell, path in scripts.items():
        if not path.exists():
            assert main(["completion", shell]) == 0
            path.write_text(capsys.readouterr().out)


def offered(script: Path, folder: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    command = [bash, "--noprofile", "--norc", "-c", COMPLETE, "bash", str(script), "gateway", *words]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    return set(ended.stdout.split())


def test_bash_offers_every_command_and_those_that_begin_so(scripts: dict[str, Path], tmp_path: Path) -> None:
    assert offered(scripts["bash"], tmp_path, "") == COMMANDS.keys()
    assert offered(scripts["bash"], tmp_path, "mig") == {"migrate"}


def test_bash_offers_the_options_of_a_command_and_of_what_is_below_it(scripts: dict[str, Path], tmp_path: Path) -> None:
    assert {"--gateway", "--json", "--patience"} <= offered(scripts["bash"], tmp_path, "doctor", "--")
    assert {"create", "rotate"} <= offered(scripts["bash"], tmp_path, "keys", "")
    assert "--overlap" in offered(scripts["bash"], tmp_path, "keys", "rotate", "--")


def test_bash_offers_choices_and_files(scripts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").touch()
    assert offered(scripts["bash"], tmp_path, "completion", "") == set(SHELLS)
    assert offered(scripts["bash"], tmp_path, "run", "su") == {"suite.yaml"}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_one_that_the_shell_can_read(scripts: dict[str, Path], shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    assert subprocess.run([program, "-n", scripts[shell]], capture_output=True, check=False).stderr == b""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_long_option(scripts: dict[str, Path], shell: str) -> None:
    words = set(re.findall(r"[a-z][a-z-]*", scripts[shell].read_text()))
    assert {option.removeprefix("--") for option in options(every_parser()) if option.startswith("--")} <= words


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Those of a parser and of all below it."""
    found: set[str] = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*(options(below) for below in action.choices.values()))
    return found
