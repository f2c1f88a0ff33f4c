"""A Postgres of a test's own, which it may stop and crash."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Self

from gateway.embedded.postgres import EmbeddedPostgres
from workerapp.db.migrations.migrate import upgrade


class OwnPostgres(EmbeddedPostgres):
    """Migrated when it is entered."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "data", durable=False)

    def __enter__(self) -> Self:
        super().__enter__()
        upgrade(self.address)
        return self

    def crash(self) -> None:
        """Stop it in immediate mode: it recovers at its next start, and what it had not written is gone."""
        pid = (self.data_dir / "cluster" / "postmaster.pid").read_text().split()[0]
        os.kill(int(pid), signal.SIGQUIT)
        self.stop()
