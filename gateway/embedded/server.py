"""The Postgres process of one cluster folder, whoever started it: is it there, is it ready, stop it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.account import Account

_STATUS_LINE = 7  # of postmaster.pid


@dataclass(frozen=True, slots=True)
class Server:
    cluster: Path
    binaries: Path
    account: Account

    def is_ready(self) -> bool:
        return self._pid_file()[_STATUS_LINE : _STATUS_LINE + 1] == ["ready"]

    def is_running(self) -> bool:
        """Whether the process named in the pid file is the Postgres of this folder; forgets a file that lies."""
        lines = self._pid_file()
        command = _command_line(int(lines[0])) if lines else ""
        if lines and "postgres" not in command:
            # The process is gone, a zombie, or another program got its number: Postgres would refuse to start then.
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        return f"-D {self.cluster} " in f"{command} "

    def stop(self, timeout: float) -> None:
        """In good order within the time given, then at once."""
        for mode in ("fast", "immediate"):
            if self.is_running():
                self._pg_ctl("stop", "-w", "-D", str(self.cluster), "-m", mode, "-t", f"{timeout:.0f}", timeout=timeout)
        if self.is_running():
            self._pg_ctl("kill", "KILL", self._pid_file()[0], timeout=timeout)

    def _pg_ctl(self, *arguments: str, timeout: float) -> None:
        # Run as the account, not as root: a pid file that was tampered with cannot make root signal anybody.
        self.account.run(self.binaries / "pg_ctl", *arguments, timeout=timeout + 10)

    def _pid_file(self) -> list[str]:
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
        # A file that is just being written has no number yet.
        return [line.strip() for line in lines] if lines and lines[0].strip().isdigit() else []


def _command_line(pid: int) -> str:
    """The command of a live process; nothing for one that is gone or a zombie."""
    if not Path("/proc/self/cmdline").exists():  # macOS
        command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
