"""What operators type: `gateway migrate`, `gateway keys`, `gateway serve`, and the help."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.postgres import PostgresServer, TestDatabase, drop_database, unique_name
from tests.stack.commands import Command, run_command
from tests.stack.process import ROOT
from workerapp.db.sealing import Sealer


def test_a_database_is_migrated_as_often_as_one_likes(postgres: PostgresServer) -> None:
    name = unique_name()
    url = postgres.as_admin(name)
    with postgres.connect() as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            early = run_command("keys", "list", environment={"DATABASE_URL": url})
            assert (early.status, "run `gateway migrate` first" in early.stderr) == (1, True), early.stderr
            for _ in range(2):
                ended = run_command("migrate", environment={"DATABASE_URL": url})
                assert (ended.status, "has the newest schema" in ended.stdout) == (0, True), ended.stderr
        finally:
            drop_database(connection, name)


def test_a_key_is_made_listed_and_revoked(database: TestDatabase) -> None:
    environment = {"DATABASE_URL": database.admin_url}
    made = run_command("keys", "create", "--organization", "acme", "--json", environment=environment)
    key = json.loads(made.stdout)
    assert key["api_key"].startswith("tsg_")
    again = run_command("keys", "create", "--organization", "acme", "--scopes", "read", environment=environment)
    assert key["organization_id"] in again.stdout, "an organization is made once"
    listed = run_command("keys", "list", "--json", environment=environment).stdout
    assert key["api_key"] not in listed
    assert [json.loads(line)["scopes"] for line in listed.splitlines()] == [["read", "write", "execute"], ["read"]]
    assert run_command("keys", "revoke", key["key_id"], environment=environment).status == 0
    twice = run_command("keys", "revoke", key["key_id"], environment=environment)
    assert (twice.status, "there is no key" in twice.stderr) == (1, True)


def test_a_login_that_only_serves_makes_no_keys(database: TestDatabase) -> None:
    ended = run_command("keys", "create", "--organization", "acme", environment={"DATABASE_URL": database.url})
    if "owner" not in database.url:
        assert (ended.status, "may not make keys" in ended.stderr) == (1, True)


def test_a_new_secret_key_can_be_used() -> None:
    key = run_command("keys", "secret").stdout.strip()
    assert Sealer((key,)).open(Sealer((key,)).seal("secret")) == "secret"


def test_the_gateway_serves_by_itself(database: TestDatabase) -> None:
    with Command("serve", "--port", "0", environment={"DATABASE_URL": database.url}) as server:
        url = server.wait_for(r"serving.*(http://127\.0\.0\.1:\d+)")[1]
        assert httpx.get(f"{url}/readyz", trust_env=False, timeout=20).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("fly",), 2, "invalid choice: 'fly'"),
        (("migrate",), 1, "DATABASE_URL is not set"),
        (("serve",), 1, "DATABASE_URL is not set"),
        (("migrate", "--database-url", "nonsense"), 2, "postgresql://user:password@host:5432/database"),
        (("keys",), 2, "the following arguments are required: ACTION"),
        (("keys", "create", "--organization", "x", "--scopes", "fly"), 1, "DATABASE_URL is not set"),
    ],
)
def test_a_wrong_call_is_answered_with_a_sentence(arguments: tuple[str, ...], status: int, said: str) -> None:
    ended = run_command(*arguments)
    assert (ended.status, ended.stdout) == (status, "")
    assert said in ended.stderr


def test_help_names_every_command() -> None:
    overview = run_command("--help")
    assert overview.status == 0
    for command in ("up", "demo", "run", "serve", "migrate", "keys"):
        assert f"  {command} " in overview.stdout
    assert "--min-pass-rate" in run_command("run", "--help").stdout


def test_the_worker_script_hands_its_settings_to_celery(tmp_path: Path) -> None:
    celery = tmp_path / "celery"
    celery.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    celery.chmod(0o755)
    script = str(ROOT / "deploy" / "start-worker.sh")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    plain = subprocess.run([script], env=environment, capture_output=True, text=True, check=True)
    defaults = ["--loglevel=INFO", "--concurrency=8", "--prefetch-multiplier=4", "--max-tasks-per-child=1000"]
    assert plain.stdout.split() == ["-A", "workerapp", "worker", *defaults]
    environment |= {"CELERY_WORKER_CONCURRENCY": "2", "CELERY_WORKER_OPTS": "--without-gossip -Q a,b"}
    chosen = subprocess.run([script], env=environment, capture_output=True, text=True, check=True)
    assert chosen.stdout.split()[4] == "--concurrency=2"
    assert chosen.stdout.split()[-3:] == ["--without-gossip", "-Q", "a,b"]
