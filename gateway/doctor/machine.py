"""This machine: the versions that are installed, open files, and the data folder of `gateway up`."""

from __future__ import annotations

import platform
import resource
import shutil
import stat
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.setup import Setup

DISTRIBUTION = "task-status-gateway"
_TOLD = ("celery", "kombu", "psycopg", "asyncpg", "sqlalchemy", "starlette")
#: Besides one for each stream: log, database, libraries, requests that are no streams.
_OTHER_FILES = 500
_FREE_BYTES = 1024**3
_INSTALL = "install anew: pip install --upgrade task-status-gateway"


def look_at_versions(_: Setup) -> Iterable[Finding]:
    """Whether what is installed is what this version was made for."""
    python = platform.python_version()
    wanted = metadata(DISTRIBUTION)["Requires-Python"]
    if python not in SpecifierSet(wanted):
        yield problem(
            f"Python {python} runs this, which needs {wanted}", "make a virtual environment with another Python"
        )
    wrong = list(_wrong_versions())
    for told in wrong:
        yield problem(told, _INSTALL)
    if not wrong:
        told = ", ".join(f"{name} {version(name)}" for name in _TOLD)
        yield ok(f"{DISTRIBUTION} {version(DISTRIBUTION)} on Python {python}, with {told}")


def _wrong_versions() -> Iterable[str]:
    for text in requires(DISTRIBUTION) or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement.name} is not installed"
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            yield f"{requirement.name} {installed} is installed, and {requirement.specifier} is needed"


def look_at_files(setup: Setup) -> Iterable[Finding]:
    """Whether a process started here may open a file for each stream."""
    most = setup.settings.stream.max_streams
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < most + _OTHER_FILES:
        top = "no limit" if hard == resource.RLIM_INFINITY else str(hard)
        yield warning(
            f"a process started here may open {soft} files, and {most} streams need {most + _OTHER_FILES}",
            f"`ulimit -n {most + _OTHER_FILES}` (up to {top}), LimitNOFILE= in systemd, or a lower "
            "GATEWAY_STREAM__MAX_STREAMS",
        )
    else:
        yield ok(f"a process started here may open enough files for {most} streams")


def look_at_data_folder(setup: Setup) -> Iterable[Finding]:
    """Whether what `gateway up` keeps is closed to others, and has room."""
    folder = setup.data_dir
    if not folder.exists():
        yield ok("`gateway up` keeps nothing here")
        return
    for path, mode in ((folder, "700"), (setup.kept_keys, "600")):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield problem(f"{path} is open to other accounts", f"chmod {mode} {path}")
    free = shutil.disk_usage(folder).free
    told = f"{free / _FREE_BYTES:.1f} GB are free where {folder} is"
    yield (
        ok(told)
        if free >= _FREE_BYTES
        else warning(told, "make room, or move the folder: `gateway up --data-dir PATH`")
    )
