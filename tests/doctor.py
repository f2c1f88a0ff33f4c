"""Examines a setup of a test's own, in this process, and what was told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.doctor.checks import CHECKS
from gateway.doctor.examination import Check, examine
from gateway.doctor.finding import Level, Line
from gateway.doctor.setup import Server, Setup, now
from gateway.settings import load_gateway_settings
from gateway.stream.settings import StreamSettings
from workerapp.db.address import DatabaseAddress
from workerapp.db.sealing import new_key
from workerapp.settings import load_worker_settings

PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What `gateway doctor` found."""

    lines: tuple[Line, ...]

    def found(self, check: str, level: Level) -> str:
        """What a check found at a level, with what is to be done."""
        found = [line.finding for line in self.lines if (line.check, line.finding.level) == (check, level)]
        assert found, (check, level, self.lines)
        return "\n".join(f"{finding.found}\n{finding.mend}" for finding in found)

    def of_level(self, level: Level) -> set[str]:
        """The checks that found something at a level."""
        return {line.check for line in self.lines if line.finding.level is level}


def make_setup(
    database_url: str,
    *,
    owner_url: str | None = None,
    server: Server | None = None,
    data_dir: Path = Path("/nowhere"),
    patience: float = PATIENCE,
    clock: Callable[[], datetime] = now,
    **values: object,
) -> Setup:
    """`values` are settings of the gateway; those of somebody's own `.env` are not read."""
    # So few streams that any machine may open a file for each.
    defaults = {"secret_keys": (new_key(),), "stream": StreamSettings(max_streams=100)}
    place = {"database_url": database_url, "_env_file": None}
    return Setup(
        settings=load_gateway_settings(**(place | defaults | values)),
        worker=load_worker_settings(**place),
        owner=None if owner_url is None else DatabaseAddress.parse(owner_url),
        server=server,
        data_dir=data_dir,
        kept_keys=data_dir / "secret-keys",
        patience=patience,
        clock=clock,
    )


def examined(setup: Setup, checks: Iterable[Check] = CHECKS) -> Examined:
    return Examined(lines=tuple(examine(setup, checks)))
