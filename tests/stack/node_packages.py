"""The npm packages that receivers of webhooks are tested with, installed once for all processes of a test run."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stack.process import ROOT

_WANTED = ROOT / "tests" / "webhook_clients"
_SECONDS = 180
#: What npm says where no registry can be reached, or the one that is does not have these packages.
_NO_REGISTRY = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|E40[134]|E50\d|ENOTCACHED"
)


class NoPackages(Exception):
    """npm gets no packages here."""


def install_packages(folder: Path) -> Path:
    """A folder with `node_modules`; the test is skipped where there is no node, npm or registry."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            try:
                install_locked(_WANTED, folder)
            except NoPackages as missing:
                pytest.skip(str(missing))
            (folder / "installed").touch()
    return folder


def install_locked(wanted: Path, folder: Path) -> None:
    """Put what `package.json` and `package-lock.json` name into another folder."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(wanted / name, folder)
    options = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
    ended = subprocess.run(
        ["npm", "ci", *options], cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if ended.returncode and (reason := _NO_REGISTRY.search(ended.stderr)):
        raise NoPackages(f"npm gets no packages from its registry ({reason[0]})")
    assert ended.returncode == 0, ended.stderr


def compile_typescript(folder: Path, out: Path, *sources: Path) -> None:
    """Check the types strictly, and write what node runs."""
    options = ["--strict", "--target", "es2022", "--module", "node16", "--types", "node", "--outDir", str(out)]
    ended = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", *options, *map(str, sources)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
