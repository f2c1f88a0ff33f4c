"""The key that seals stored secrets: made once, and kept in a file that only its owner reads."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.cli.failures import CommandFailed
from gateway.embedded.folders import make_folder
from workerapp.db.sealing import new_key

FILE_NAME = "secret-keys"


def kept_secret_keys(folder: Path) -> str:
    """The keys kept in a folder, as text for GATEWAY_SECRET_KEYS; a new one where there are none."""
    path = folder / FILE_NAME
    try:
        # Open to others, as the account of Postgres may have to pass through it; the file is not.
        for parent in [*reversed(folder.parents), folder]:
            make_folder(parent, 0o755)
        _make(path)
        return path.read_text().strip()
    except OSError as error:
        raise CommandFailed(
            f"the key that seals stored secrets cannot be kept in {path}: {error.strerror}; set GATEWAY_SECRET_KEYS "
            "(`gateway keys secret` prints a key)"
        ) from error


def _make(path: Path) -> None:
    """Write a new key, if there is none; whoever looks finds a whole one."""
    if path.exists():
        return
    scratch = path.with_name(f"{FILE_NAME}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(new_key() + "\n")
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        scratch.unlink()
