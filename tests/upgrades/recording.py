"""Records what a release leaves when its processes are killed at work: `python -m tests.upgrades.recording COMMIT`.

Nothing of it is made up: the release's own gateway and worker wrote every row.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.embedded.account import serving_account
from gateway.embedded.binaries import reachable_binaries
from gateway.embedded.postgres import EmbeddedPostgres
from tests.postgres import TestDatabase
from tests.stack.application import application
from tests.stack.client import Client
from tests.stack.process import ROOT
from tests.stack.services import Gateway, Worker
from tests.upgrades.release import KEPT, Release, code_of, command_of, revision_of
from tests.waiting import until
from tests.webhooks import answer, receiving_apart

#: Seals what is in a dump; it keeps no secret.
SEALING_KEY = "A" * 43 + "="
#: What stands in a dump for addresses of the recording.
APPLICATION, RECEIVER = "http://application.recorded/", "http://receiver.recorded"
SCOPES = "events:read,runs:read,runs:write,tasks:submit,webhooks:manage"
ENVIRONMENT = {"GATEWAY_SECRET_KEYS": SEALING_KEY}
#: Nothing of these may be in a dump: it is restored by who is not the same superuser, on servers as old as 15.
_LEFT_OUT = re.compile(r"^(\\.*|SET transaction_timeout.*|--.*|)\n", re.MULTILINE)
_TESTS = 12


def record(commit: str, code: Path) -> Release:
    """Let a program work, kill it, and keep what is in its database then."""
    with tempfile.TemporaryDirectory(prefix="gwrecord-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "data", durable=False) as postgres:
            recording, urls = _leave(code, postgres.address)
            text = _dumped(postgres, urls)
    for old in KEPT.glob("*.sql"):
        old.unlink()
    release = Release(commit=commit, revision=revision_of(code), recording=recording)
    release.dump.write_text(text, encoding="utf-8")
    release.keep()
    return release


def _leave(code: Path, address: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What the killed processes have left, by names, and the addresses that are in it."""
    command_of(code, "migrate", DATABASE_URL=address)
    with application() as app, receiving_apart() as receiver, _processes(code, address) as (gateway, worker):
        receiver.answers["runs"] = answer(503)
        with new_client_of(code, address, gateway.url) as client:
            client.post("/v1/webhook-endpoints", {"url": f"{receiver.url}/runs", "event_types": ["test_run.*"]})
            ended_task = client.submit("echo", "ended")
            client.ended(ended_task)
            configuration = _configure(client, app.url)
            ended_run = client.execute(_configure(client, app.url, tests=2))
            client.settled(ended_run)
            until(lambda: receiver.received)
            run = client.execute(configuration)
            until(app.is_waiting.is_set)
            until(lambda: client.run(run)["passed"] == _TESTS - 1)
            worker.kill()
            waiting_tasks = [client.submit("echo", str(number)) for number in range(3)]
            test_set = client.get(f"/v1/test-configurations/{configuration}")["test_set_id"]
            group = client.post(f"/v1/test-sets/{test_set}/execute", {"test_configuration_ids": [configuration]})
            recording = {
                "organization_id": client.organization_id,
                "at": datetime.now(UTC).isoformat(),
                "ended_task": ended_task,
                "ended_run": ended_run,
                "run": run,
                "run_seq": client.run(run)["seq"],
                "waiting_tasks": waiting_tasks,
                "waiting_run": client.execute(configuration),
                "group": group["run_group_id"],
            }
            gateway.kill()
    return recording, {app.url: APPLICATION, receiver.url: RECEIVER}


def _configure(client: Client, url: str, tests: int = _TESTS) -> str:
    """Of its tests the last one waits, unless there are few."""
    asked = [{"input": f"say {number}", "expected": str(number)} for number in range(tests)]
    if tests == _TESTS:
        asked[-1] = {"input": "wait", "expected": "wait"}
    endpoint = {"url": url, "request": {"input": "{{ input }}"}, "response": {"output": "$.output"}}
    return client.configure(endpoint=endpoint, tests=asked, metrics=[{"type": "equals"}], concurrency=4)


@contextmanager
def _processes(code: Path, address: str) -> Iterator[tuple[Gateway, Worker]]:
    database = TestDatabase(url=address, admin_url=address)
    gateway, worker = Gateway(database, environment=ENVIRONMENT), Worker(database, environment=ENVIRONMENT)
    gateway.code = worker.code = code
    with gateway, worker:
        yield gateway, worker


def new_client_of(code: Path, address: str, url: str) -> Client:
    """A client of a new organization, made as that program makes them."""
    options = ["--organization", "recorded", "--scopes", SCOPES]
    printed = command_of(code, "keys", "create", *options, DATABASE_URL=address)
    words = dict(re.findall(r"^(API key|Organization) +(\S+)$", printed, re.MULTILINE))
    return Client(url, words["API key"], words["Organization"])


def _dumped(postgres: EmbeddedPostgres, urls: dict[str, str]) -> str:
    account = serving_account()
    options = ["--schema=gateway", "--inserts", "--rows-per-insert=100", "--no-comments"]
    program = reachable_binaries(account) / "pg_dump"
    done = subprocess.run([program, *options, postgres.address], capture_output=True, text=True, check=True)
    text = _LEFT_OUT.sub("", done.stdout).replace("OWNER TO postgres;", "OWNER TO CURRENT_USER;")
    for url, name in urls.items():
        text = text.replace(url, name)
    return text


def record_present() -> Release:
    """The same of the commit that is checked out, and not of what has been changed since."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return record_commit(done.stdout.strip())


def record_commit(commit: str) -> Release:
    with tempfile.TemporaryDirectory(prefix="gwrelease-") as folder:
        return record(commit, code_of(commit, Path(folder)))


def main() -> int:
    print(f"kept {record_commit(sys.argv[1]).dump}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
