"""`gateway doctor` as an operator runs it: on a setup that is well, and on setups that are broken in one way each."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.postgres import TestDatabase
from tests.rest import add_tenant
from tests.stack.commands import gateway_up, run_command
from tests.stack.services import Gateway, Worker
from workerapp.db.sealing import new_key

#: So few streams that any machine may open a file for each.
FEW_STREAMS = {"GATEWAY_STREAM__MAX_STREAMS": "100"}


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What `gateway doctor --json` told."""

    status: int
    lines: tuple[dict[str, str | None], ...]

    def found(self, check: str, level: str) -> str:
        """What a check found at a level, with what is to be done."""
        found = [line for line in self.lines if (line["check"], line["level"]) == (check, level)]
        assert found, (check, level, self.lines)
        return "\n".join(f"{line['found']}\n{line['mend']}" for line in found)

    def of_level(self, level: str) -> set[str | None]:
        """The checks that found something at a level."""
        return {line["check"] for line in self.lines if line["level"] == level}


def examine(database_url: str, *options: str, **environment: str) -> Examined:
    given = {"DATABASE_URL": database_url, "GATEWAY_SECRET_KEYS": new_key()} | FEW_STREAMS | environment
    ended = run_command("doctor", "--json", "--data-dir", "/nowhere", *options, environment=given)
    assert ended.stderr == ""
    lines = tuple(json.loads(line) for line in ended.stdout.splitlines())
    return Examined(status=ended.status, lines=lines)


def test_a_healthy_setup_is_all_ok(database: TestDatabase) -> None:
    tenant = add_tenant(database)
    with Gateway(database) as gateway, Worker(database):
        examined = examine(
            database.url, "--owner-url", database.admin_url, "--gateway", gateway.url, GATEWAY_API_KEY=tenant.secret
        )
    assert {line["level"] for line in examined.lines} == {"ok"}, examined.lines
    assert examined.status == 0
    assert "1 workers" in examined.found("workers", "ok")
    assert "1 gateways and 1 workers" in examined.found("connections", "ok")


def test_people_are_told_by_lines_and_a_sum(database: TestDatabase) -> None:
    environment = {"DATABASE_URL": database.url, "GATEWAY_OUTBOUND_ALLOW": "0.0.0.0/0"} | FEW_STREAMS
    ended = run_command("doctor", "--data-dir", "/nowhere", environment=environment)
    lines = ended.stdout.splitlines()
    assert ended.status == 0, "warnings are no problems"
    assert lines[0] == "ok         settings      all settings can be read"
    warned = next(index for index, line in enumerate(lines) if line.startswith("warning    outbound"))
    assert "0.0.0.0/0" in lines[warned]
    assert lines[warned + 1].startswith("           → name only the networks")
    assert lines[-1] == "3 warnings, 2 not looked at.", ended.stdout


def test_settings_that_are_wrong_are_told_all_at_once(database: TestDatabase) -> None:
    examined = examine(
        database.url, GATEWAY_PAGE_SIZE="0", CELERY_WORKER_CONCURRENCY="many", BROKER_URL="kafka://secret@x"
    )
    told = examined.found("settings", "problem")
    assert all(name in told for name in ("GATEWAY_PAGE_SIZE", "CELERY_WORKER_CONCURRENCY"))
    assert (examined.status, examined.of_level("skipped")) == (1, {"all others"})
    other = examine(database.url, BROKER_URL="kafka://secret@x")
    assert "BROKER_URL" in other.found("settings", "problem")
    assert "secret" not in str(other.lines)


def test_what_gateway_up_runs_can_be_examined(reachable_folder: object) -> None:
    folder = f"{reachable_folder}/data"
    with gateway_up("--data-dir", folder) as up:
        ended = run_command(
            *("doctor", "--json", "--up", "--data-dir", folder, "--gateway", up.url),
            environment=up.environment | FEW_STREAMS,
        )
    levels = {json.loads(line)["check"]: json.loads(line)["level"] for line in ended.stdout.splitlines()}
    assert set(levels.values()) == {"ok"}, ended.stdout
    assert ended.status == 0
