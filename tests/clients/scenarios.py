"""The same scenario as a program of each language, checked and compiled against the generated client."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.generation import (
    JVM,
    PROGRAMS,
    Command,
    compile_java,
    generate,
    java_path,
    program,
    run,
    unless_done,
)

_SECONDS = 90


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A program whose types were found right."""

    command: Command
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, environment: dict[str, str]) -> str:
        """What it prints."""
        done = subprocess.run(
            list(map(str, self.command)),
            env=os.environ | self.environment | environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def compiled(language: str) -> Compiled:
    """The scenario in this language; raises what `generate` does."""
    client, scenario = generate(language), PROGRAMS[language]
    check, command = _COMPILERS[language], _COMMANDS[language]
    with unless_done(client / "checked", [client / "made-of", scenario, Path(__file__)]) as is_due:
        if is_due:
            check(client, scenario)
    return command(client, scenario)


def _check_python(client: Path, scenario: Path) -> None:
    package = client / "task_status_client"
    # The rest of the package is the same whatever the document says.
    checked: Command = [package / "models", package / "api", scenario]
    options: Command = ["--strict", "--config-file=", "--follow-imports=silent", "--cache-dir", client / ".mypy_cache"]
    run([sys.executable, "-m", "mypy", *options, *checked], client, {"MYPYPATH": str(client)})


def _check_typescript(client: Path, scenario: Path) -> None:
    options = ["--strict", "--noUncheckedIndexedAccess", "--skipLibCheck", "--types", "node"]
    options += ["--target", "es2022", "--module", "nodenext", "--outDir", "out"]
    run([program("node"), "node_modules/typescript/bin/tsc", *options, shutil.copy(scenario, client)], client)


def _check_java(client: Path, scenario: Path) -> None:
    compile_java(client, client / "target" / "scenario", [scenario])


_COMPILERS: dict[str, Callable[[Path, Path], None]] = {
    "python": _check_python,
    "typescript": _check_typescript,
    "java": _check_java,
}
_COMMANDS: dict[str, Callable[[Path, Path], Compiled]] = {
    "python": lambda client, scenario: Compiled(
        command=[sys.executable, scenario], environment={"PYTHONPATH": str(client)}
    ),
    "typescript": lambda client, _: Compiled(command=[program("node"), client / "out" / "scenario.js"]),
    "java": lambda client, _: Compiled(command=[program("java"), *JVM, "-cp", java_path(client), "Scenario"]),
}
