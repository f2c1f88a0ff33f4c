"""Runs checks one after the other: none can hang, one that fails says so, and what needs it is skipped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from gateway.doctor.finding import Finding, Level, Line, problem, skipped
from gateway.doctor.setup import Setup, first_line


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A question about a setup, and those that must not have found a problem before it makes sense."""

    name: str
    look: Callable[[Setup], Iterable[Finding]]
    needs: tuple[str, ...] = ()


def examine(setup: Setup, checks: Iterable[Check]) -> Iterator[Line]:
    """Everything that the checks find, in their order, as it is found."""
    failed: set[str] = set()
    for check in checks:
        missing = next((need for need in check.needs if need in failed), None)
        findings = _look(check, setup) if missing is None else [skipped(f"not looked at, because of: {missing}")]
        if missing is not None or any(finding.level is Level.PROBLEM for finding in findings):
            failed.add(check.name)
        yield from (Line(check=check.name, finding=finding) for finding in findings)


def _look(check: Check, setup: Setup) -> list[Finding]:
    """In a thread that nobody waits for at the end: a call into a driver cannot be interrupted."""
    answer: SimpleQueue[list[Finding]] = SimpleQueue()
    threading.Thread(target=lambda: answer.put(_findings(check, setup)), name=check.name, daemon=True).start()
    try:
        return answer.get(timeout=setup.patience)
    except Empty:
        return [
            problem(
                f"there was no answer within {setup.patience:g} seconds",
                "see whether what is asked here is overloaded, stopped or behind a firewall; --patience waits longer",
            )
        ]


def _findings(check: Check, setup: Setup) -> list[Finding]:
    try:
        return list(check.look(setup))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are made
        return [
            problem(
                f"the check itself failed: {type(error).__name__}: {first_line(error)}",
                "mend what the problems above name first; if there is none, this may be a fault of ours",
            )
        ]
