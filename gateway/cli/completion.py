"""Print a script that completes commands, options and their choices in a shell.

bash: `eval "$(gateway completion bash)"` in ~/.bashrc. zsh: the script in a folder of $fpath, as `_gateway`. fish: the
script as ~/.config/fish/completions/gateway.fish.
"""

from __future__ import annotations

import argparse

import shtab

from gateway.cli.failures import ExitStatus
from gateway.cli.main import every_parser
from gateway.cli.plain_text import say

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def execute(options: argparse.Namespace) -> int:
    """Make it out of the parsers, so that it offers what there is."""
    say(shtab.complete(_with_files(every_parser()), options.shell))
    return ExitStatus.OK


def _with_files(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Files are completed where a path is meant."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to read a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for below in action.choices.values():
                _with_files(below)
        elif getattr(action.type, "__name__", "") == "Path":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser
