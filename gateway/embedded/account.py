"""The system account the embedded Postgres runs as: ours, or one without privileges where we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Postgres refuses to run as root; for root it runs as this account, made when it is missing.
SYSTEM_ACCOUNT = "gateway-postgres"


class EmbeddedPostgresError(RuntimeError):
    """The embedded Postgres cannot be used; the message says why and what would be right."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who Postgres runs as: ourselves or, where we are root, an account without privileges."""

    name: str
    uid: int
    gid: int
    is_other: bool

    def process_options(self) -> dict[str, Any]:
        """Options that make a subprocess run as this account, apart from our terminal, environment and folder."""
        options: dict[str, Any] = {
            "cwd": "/",  # ours may be closed to the account
            "env": {"PATH": os.defpath, "LC_ALL": "C"},  # PGPORT, PGDATA and the like would reach the server
            "stdin": subprocess.DEVNULL,
            "umask": 0o077,
            "start_new_session": True,  # Ctrl-C reaches the whole process group; Postgres must outlive its clients
        }
        if self.is_other:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def run(self, *command: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own argument lists, no shell
            command, check=False, capture_output=True, text=True, timeout=timeout, **self.process_options()
        )

    def may(self, flag: str, path: Path) -> bool:
        """Whether the account passes `test <flag> path`; asking the system respects groups and access lists too."""
        return not self.is_other or self.run("test", flag, path).returncode == 0

    def take(self, path: Path) -> None:
        if self.is_other:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def serving_account() -> Account:
    uid = os.geteuid()
    if uid != 0:
        return Account(name=account_name(uid), uid=uid, gid=os.getegid(), is_other=False)
    entry = _system_account()
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, is_other=True)


def account_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _system_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_ACCOUNT)
    except KeyError:
        _add_system_account()
    try:
        # Looked up again whatever useradd said: another process may have been first.
        return pwd.getpwnam(SYSTEM_ACCOUNT)
    except KeyError:
        raise EmbeddedPostgresError(
            f"Postgres cannot run as root, and the account {SYSTEM_ACCOUNT!r} it would run as could not be made. "
            "Create that account, or start the gateway as an ordinary user."
        ) from None


def _add_system_account() -> None:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    if useradd := shutil.which(command[0], path=f"{os.defpath}:/usr/sbin:/sbin"):
        arguments = [*command[1:], "--shell", "/usr/sbin/nologin", SYSTEM_ACCOUNT]
        subprocess.run([useradd, *arguments], check=False, capture_output=True)  # noqa: S603 - constants only
