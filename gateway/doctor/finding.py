"""What a check has found: how bad it is, what it is, and how it is mended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is; what is skipped could not be looked at."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was found; nothing in it is secret."""

    level: Level
    found: str
    mend: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A finding and the check that found it."""

    check: str
    finding: Finding


def ok(found: str) -> Finding:
    """All is well."""
    return Finding(level=Level.OK, found=found)


def warning(found: str, mend: str) -> Finding:
    """It works, and will not always, or not as well as it should."""
    return Finding(level=Level.WARNING, found=found, mend=mend)


def problem(found: str, mend: str) -> Finding:
    """It does not work, or nobody is safe."""
    return Finding(level=Level.PROBLEM, found=found, mend=mend)


def skipped(found: str, mend: str = "") -> Finding:
    """It could not be looked at; `mend` says what would help."""
    return Finding(level=Level.SKIPPED, found=found, mend=mend)
