"""The folders the embedded Postgres lives in, made so that its account reaches them and others do not."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from pathlib import Path

from gateway.embedded.account import Account, EmbeddedPostgresError, account_name

#: Where root keeps things: open to every account by convention, writable by root alone.
SYSTEM_FOLDER = Path("/var/lib/task-status-gateway")
#: Held while a process uses a data folder; finding it also says that a folder is one of ours.
_LOCK_FILE = "lock"


def take_data_folder(folder: Path, account: Account) -> None:
    """Make the data folder, or take over an empty one; no folder that was there before changes its mode."""
    _refuse_closed_parents(folder, account)
    parent_mode = 0o755 if account.is_other else 0o700
    for parent in [*reversed(folder.parents), folder]:
        make_folder(parent, 0o700 if parent == folder else parent_mode)
    _refuse_foreign_folder(folder, account)
    if not account.may("-x", folder):
        account.take(folder)


def _refuse_closed_parents(folder: Path, account: Account) -> None:
    for parent in reversed(folder.parents):
        if parent.exists() and not account.may("-x", parent):
            raise EmbeddedPostgresError(
                f"Postgres cannot run as root, so it runs as the account {account.name!r}, and {parent} is closed to "
                f"that account. Choose a data folder elsewhere, for example {SYSTEM_FOLDER / 'postgres'}."
            )


def make_folder(folder: Path, mode: int) -> None:
    if folder.exists():
        return
    try:
        folder.mkdir(mode)
    except FileExistsError:  # another process was first
        return
    folder.chmod(mode)  # whatever the umask is: a closed parent would lock Postgres out


def _refuse_foreign_folder(folder: Path, account: Account) -> None:
    owner = folder.stat().st_uid
    if owner not in {os.geteuid(), account.uid}:
        raise EmbeddedPostgresError(
            f"The data folder {folder} belongs to {account_name(owner)!r}, and this process runs as "
            f"{account_name(os.geteuid())!r}. Run as its owner, or choose another data folder."
        )
    entries = {entry.name for entry in folder.iterdir()}
    if entries and _LOCK_FILE not in entries:
        raise EmbeddedPostgresError(
            f"The data folder {folder} is not empty and holds no database of the gateway. "
            "Choose a new or an empty folder."
        )


def take_socket_dir(folder: Path, account: Account) -> None:
    folder.mkdir(0o700, exist_ok=True)
    if not _is_private(folder, account):
        raise EmbeddedPostgresError(
            f"The folder {folder}, meant for the socket of Postgres, is somebody else's or open to others. "
            "Remove it, or choose a data folder with a shorter path."
        )
    account.take(folder)


def release_socket_dir(folder: Path, account: Account) -> None:
    if folder.exists() and _is_private(folder, account):
        shutil.rmtree(folder, ignore_errors=True)


def _is_private(folder: Path, account: Account) -> bool:
    status = folder.lstat()
    is_closed_folder = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    return is_closed_folder and status.st_uid in {os.geteuid(), account.uid}


def take_lock(folder: Path) -> int:
    lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode().strip() or "unknown"
        os.close(lock)
        raise EmbeddedPostgresError(
            f"The data folder {folder} is in use by process {holder}. Stop that process, or choose another data folder."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
