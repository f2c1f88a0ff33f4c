"""Generates a client of `openapi.yaml` for each language, with a tool of that language.

A client that was made of the same document, by the same tools, is not made again. What a generator leaves out it tells
in a warning: that is a failure here.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from tests.contract import DOCUMENT, contract
from tests.stack.node_packages import NoPackages, install_locked
from tests.stack.process import ROOT

CLIENTS = ROOT / "clients"
CONFIGURATIONS = Path(__file__).parent
#: What does with the clients what callers do.
PROGRAMS = {
    "python": CONFIGURATIONS / "python" / "scenario.py",
    "typescript": CONFIGURATIONS / "typescript" / "scenario.ts",
    "java": CONFIGURATIONS / "java" / "Scenario.java",
}
#: A JVM that does not live long is best off without its second compiler.
JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_SECONDS = 300
_PACKAGES = ("openapi-python-client", "openapi-generator-cli", "mypy")
#: What openapi-generator warns of whatever it reads, and of examples, which no client has.
_HARMLESS = re.compile(
    r"OpenAPI 3\.1 support is still in beta|Failed to get the schema name: null|Ignoring complex example"
)
Command: TypeAlias = list[str | Path]


class ToolMissing(Exception):
    """There is no program here that this client is generated with; the message says which."""


class Complaint(Exception):
    """A generator or a compiler has something to say; it is the message."""


def generate(language: str, folder: Path = CLIENTS) -> Path:
    """The folder of the client in this language, made now if it is not there or of something else."""
    generator, made = GENERATORS[language], folder / language
    folder.mkdir(parents=True, exist_ok=True)
    with unless_done(made / "made-of", _sources(language)) as is_due:
        if is_due:
            shutil.rmtree(made, ignore_errors=True)
            generator(_as_json(folder / "openapi.json"), made)
    return made


@contextmanager
def unless_done(stamp: Path, sources: Iterable[Path]) -> Iterator[bool]:
    """Whether there is something to do with a client that was not done yet with just these files and tools.

    Where it is, this process does it, and others that come for it wait.
    """
    digest = hashlib.sha256("".join(_version(package) for package in _PACKAGES).encode())
    for path in sources:
        digest.update(path.read_bytes())
    client = stamp.parent
    with client.with_name(f".{client.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_due = not (stamp.exists() and stamp.read_text() == digest.hexdigest())
        yield is_due
        if is_due:
            stamp.write_text(digest.hexdigest())


def run(command: Command, folder: Path, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """What the command says, after a good end."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    ended = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    said: str = ended.stdout + ended.stderr
    if ended.returncode:
        raise Complaint(said)
    return said


def program(name: str) -> str:
    """Where a program is."""
    if found := shutil.which(name):
        return found
    raise ToolMissing(f"there is no {name} here")


def generator_jar() -> Path:
    """openapi-generator itself, which has in it what a client for Java needs: Jackson and the annotations."""
    found = importlib.util.find_spec("openapi_generator_cli")
    if found is None or not found.submodule_search_locations:
        raise ToolMissing("the Python package openapi-generator-cli is not installed")
    return Path(found.submodule_search_locations[0]) / "openapi-generator.jar"


def _generate_python(document: Path, made: Path) -> None:
    if importlib.util.find_spec("openapi_python_client") is None:
        raise ToolMissing("the Python package openapi-python-client is not installed")
    ours = CONFIGURATIONS / "python"
    command: Command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--meta", "uv"]
    command += ["--config", ours / "config.yaml", "--custom-template-path", ours / "templates"]
    run([*command, "--output-path", made, "--overwrite", "--fail-on-warning"], document.parent)


def _generate_typescript(document: Path, made: Path) -> None:
    program("node")
    program("npm")
    made.mkdir()
    try:
        install_locked(CONFIGURATIONS / "typescript", made)
    except NoPackages as missing:
        raise ToolMissing(str(missing)) from missing
    generator: Command = [program("node"), "node_modules/openapi-typescript/bin/cli.js", document, "--output", "api.ts"]
    # What has a default may be left out of a request; what an answer always has is required in the document.
    run([*generator, "--root-types", "--root-types-no-schema-prefix", "--default-non-nullable=false"], made)


def _generate_java(document: Path, made: Path) -> None:
    ours = CONFIGURATIONS / "java"
    made.mkdir()
    shutil.copy(ours / "ignored", made / ".openapi-generator-ignore")
    options: Command = ["-g", "java", "-c", ours / "config.yaml", "-t", ours / "templates"]
    parts = "apis,models,supportingFiles,apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"
    command = [program("java"), *JVM, "-jar", generator_jar(), "generate", "-i", document, "-o", made, *options]
    said = run([*command, "--global-property", parts], document.parent)
    warnings = [line for line in said.splitlines() if re.search(r"\b(WARN|ERROR)\b", line)]
    if left := [line for line in warnings if not _HARMLESS.search(line)]:
        raise Complaint("\n".join(left))
    compile_java(made, made / "target" / "classes", sorted((made / "src" / "main").rglob("*.java")))


def compile_java(client: Path, classes: Path, sources: Sequence[Path]) -> None:
    """With the client in the path, and what it needs."""
    path = java_path(client)
    javac = [program("javac"), *(f"-J{option}" for option in JVM), "-nowarn", "-proc:none"]
    run([*javac, "-cp", path, "-d", classes, *sources], client)


def java_path(client: Path) -> str:
    return os.pathsep.join(map(str, (client / "target" / "classes", client / "target" / "scenario", generator_jar())))


GENERATORS: dict[str, Callable[[Path, Path], None]] = {
    "python": _generate_python,
    "typescript": _generate_typescript,
    "java": _generate_java,
}


def _sources(language: str) -> list[Path]:
    """All that the client is made of."""
    ours = (path for path in (CONFIGURATIONS / language).rglob("*") if path.is_file())
    return [DOCUMENT, Path(__file__), *sorted(path for path in ours if path not in PROGRAMS.values())]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _as_json(path: Path) -> Path:
    """The document as JSON, which every generator reads several times faster; another process may write it too."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as whole:
        json.dump(contract().document, whole)
    return Path(whole.name).replace(path)
