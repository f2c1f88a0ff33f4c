"""The `gateway` command: runs a subcommand, and turns what goes wrong into a sentence and an exit status."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.interruption import ending_at_once

#: What each subcommand does; its module is imported only when it is called, so that `--help` is quick.
COMMANDS = {
    "up": "start everything on this machine: Postgres, the gateway and a worker",
    "demo": "start everything, and run a bundled test suite against a bundled AI application",
    "run": "run a test suite against an AI application and wait for the outcome",
    "watch": "watch runs, groups, tasks, or all that happens",
    "runs": "list, show, cancel and retry test runs, and read their results",
    "tasks": "list, show, submit and cancel tasks",
    "events": "print what happened",
    "listen": "receive webhooks on this machine, verify and print them",
    "webhooks": "who is told when runs end, what was sent, and sending it again",
    "serve": "serve the HTTP API, and nothing else",
    "migrate": "bring the database to the newest schema",
    "orgs": "create, list, show and remove organizations",
    "users": "create, list and remove the users of organizations",
    "keys": "create, list, rotate and revoke API keys; make a key for stored secrets",
    "secret-keys": "seal stored secrets anew with a new key",
    "adopt": "make the tasks of an existing Celery app, on its own table, tasks of an organization",
    "admin": "see and end work of all organizations, with a login of the database",
    "doctor": "say what is wrong with a setup and how to mend it",
    "completion": "print a script that completes these commands in a shell",
}


class Command(Protocol):
    """What the module of a subcommand offers."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with ending_at_once():
            _print_any_text()
            if not given or given[0] not in COMMANDS:
                _overview().parse_args(given or ["--help"])
            command = _module_of(given[0])
            options = _parser(given[0], command).parse_args(given[1:])
        return command.execute(options)
    except CommandFailed as failure:
        print(f"gateway {given[0]}: {failure}", file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not try to flush it again.
        sys.stdout = io.TextIOWrapper(io.BytesIO())
        return ExitStatus.FAILED


def every_parser() -> argparse.ArgumentParser:
    """All commands with their options in one parser, for which every module is imported."""
    parser = argparse.ArgumentParser(prog="gateway")
    commands = parser.add_subparsers()
    for name, purpose in COMMANDS.items():
        _module_of(name).add_arguments(commands.add_parser(name, help=purpose))
    return parser


def _module_of(name: str) -> Command:
    return cast("Command", importlib.import_module(f"gateway.cli.{name.replace('-', '_')}"))


def _parser(name: str, command: Command) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"gateway {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{purpose}" for name, purpose in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="Submits tasks and test runs, and streams every state change.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n`gateway COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the commands below")
    return parser


def _print_any_text() -> None:
    """What a tested application answered may not fit the terminal's encoding; that is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
