"""Why a command ends early: one sentence for people, and the exit status for scripts."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the exit status of every command means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class CommandFailed(Exception):
    """The command cannot go on; the message says why and what would be right."""

    status = ExitStatus.FAILED


class UsageInvalid(CommandFailed):
    """The command was called wrongly, or with a file that is wrong."""

    status = ExitStatus.USAGE


class ServerUnreachable(CommandFailed):
    """The server does not answer, or not as a gateway would."""

    status = ExitStatus.UNREACHABLE
