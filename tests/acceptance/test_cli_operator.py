"""What operators type: `gateway migrate`, `gateway keys`, `gateway serve`, and the help."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from psycopg.types.json import Jsonb

from gateway.auth.keys import DEFAULT_SCOPES
from tests.postgres import PostgresServer, TestDatabase, drop_database, unique_name
from tests.records import act_for, connect, plan
from tests.stack.commands import Command, run_command
from tests.stack.process import ROOT
from tests.stack.proxy import write_certificate
from workerapp.db.sealing import Sealer, endpoint_place


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
    again = run_command("keys", "create", "--organization", "acme", "--scopes", "runs:read", environment=environment)
    assert key["organization_id"] in again.stdout, "an organization is made once"
    listed = run_command("keys", "list", "--json", environment=environment).stdout
    assert key["api_key"] not in listed
    assert [json.loads(line)["scopes"] for line in listed.splitlines()] == [[*DEFAULT_SCOPES], ["runs:read"]]
    assert run_command("keys", "revoke", key["key_id"], environment=environment).status == 0
    twice = run_command("keys", "revoke", key["key_id"], environment=environment)
    assert (twice.status, "there is no key" in twice.stderr) == (1, True)


def test_a_key_is_rotated_and_expires(database: TestDatabase) -> None:
    environment = {"DATABASE_URL": database.admin_url}
    create = ("keys", "create", "--organization", "acme", "--name", "ci", "--expires-in", "3600", "--json")
    old = json.loads(run_command(*create, environment=environment).stdout)
    rotate = ("keys", "rotate", old["key_id"], "--overlap", "60", "--json")
    new = json.loads(run_command(*rotate, environment=environment).stdout)
    assert new["api_key"] != old["api_key"]
    listed = run_command("keys", "list", "--json", environment=environment).stdout
    before, after = (json.loads(line) for line in listed.splitlines())
    assert (before["key_id"], after["key_id"]) == (old["key_id"], new["key_id"])
    assert (after["name"], after["scopes"]) == (before["name"], before["scopes"])
    assert datetime.now(UTC) < datetime.fromisoformat(before["expires_at"]) < datetime.now(UTC) + timedelta(minutes=2)
    assert datetime.fromisoformat(after["expires_at"]) > datetime.now(UTC) + timedelta(minutes=50)
    ended = run_command("keys", "rotate", new["key_id"], environment=environment)
    assert "has ended" in ended.stdout
    twice = run_command("keys", "rotate", new["key_id"], environment=environment)
    assert (twice.status, "no key" in twice.stderr) == (1, True)


def test_users_are_made_listed_and_removed_with_their_keys(database: TestDatabase) -> None:
    environment = {"DATABASE_URL": database.admin_url}
    create = ("users", "create", "--organization", "acme", "--name", "Ada", "--email", "ada@example.com")
    user = json.loads(run_command(*create, "--json", environment=environment).stdout)
    twice = run_command(*create, environment=environment)
    assert (twice.status, "has a user with the email" in twice.stderr) == (1, True)
    key = ("keys", "create", "--organization", "acme", "--user", user["user_id"])
    assert run_command(*key, environment=environment).status == 0
    stranger = ("keys", "create", "--organization", "other", "--user", user["user_id"])
    refused = run_command(*stranger, environment=environment)
    assert (refused.status, "has no user" in refused.stderr) == (1, True)
    listed = json.loads(run_command("users", "list", "--json", environment=environment).stdout)
    assert (listed["name"], listed["keys"]) == ("Ada", 1)
    removed = run_command("users", "remove", user["user_id"], environment=environment)
    assert "with 1 keys" in removed.stdout
    assert run_command("keys", "list", environment=environment).stdout == "There is none.\n"
    assert run_command("users", "remove", user["user_id"], environment=environment).status == 1


def test_an_organization_is_made_shown_and_removed_with_all_that_it_has(database: TestDatabase) -> None:
    environment = {"DATABASE_URL": database.admin_url}
    made = json.loads(run_command("orgs", "create", "acme", "--json", environment=environment).stdout)
    assert run_command("orgs", "create", "acme", environment=environment).status == 1
    planned = run_command("orgs", "set-plan", "acme", "large", "--json", environment=environment)
    assert (made["plan"], json.loads(planned.stdout)) == ("default", made | {"plan": "large"})
    assert run_command("orgs", "set-plan", "acme", "", environment=environment).status == 1
    run_command("keys", "create", "--organization", "acme", environment=environment)
    run_command("keys", "create", "--organization", "other", environment=environment)
    with connect(database.admin_url) as admin:
        organization_id = UUID(made["id"])
        act_for(admin, organization_id)
        plan(admin, organization_id, 2)
        message = Jsonb({"headers": {"id": "1", "task": "echo", "organization_id": made["id"]}, "properties": {}})
        admin.execute("SELECT broker_publish('celery', %s)", (message,))
        shown = json.loads(run_command("orgs", "show", "acme", "--json", environment=environment).stdout)
        assert (shown["live_keys"], shown["open_test_runs"]) == (1, 1)
        assert shown["rows"] == rows_of(admin, organization_id)
        assert {"api_key", "test_result", "task_event", "broker_message"} <= shown["rows"].keys()
        kept = run_command("orgs", "remove", "acme", environment=environment)
        assert (kept.status, "--yes" in kept.stderr, "api_key" in kept.stdout) == (2, True, True)
        assert rows_of(admin, organization_id) == shown["rows"]
        removed = run_command("orgs", "remove", "acme", "--yes", environment=environment)
        assert (removed.status, "acme is removed" in removed.stdout) == (0, True), removed.stderr
        assert rows_of(admin, organization_id) == {"audit_event": 4}, "the audit log tells of what is gone"
    (left,) = run_command("orgs", "list", "--json", environment=environment).stdout.splitlines()
    assert (json.loads(left)["name"], json.loads(left)["live_keys"]) == ("other", 1)
    assert run_command("orgs", "show", "acme", environment=environment).status == 1


def rows_of(admin: psycopg.Connection, organization_id: UUID) -> dict[str, int]:
    """How many rows of each table are the organization's, where there are any."""
    counts = {
        name: admin.execute(f"SELECT count(*) FROM {name} WHERE organization_id = %s".encode(), (organization_id,))
        for (name,) in admin.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'gateway' AND column_name = 'organization_id'"
        ).fetchall()
    }
    found = {name: int(cursor.fetchall()[0][0]) for name, cursor in counts.items()}
    return {name: count for name, count in found.items() if count}


def test_a_login_that_only_serves_makes_no_keys(database: TestDatabase) -> None:
    ended = run_command("keys", "create", "--organization", "acme", environment={"DATABASE_URL": database.url})
    if "owner" not in database.url:
        assert (ended.status, "may not make keys" in ended.stderr) == (1, True)


def test_a_new_secret_key_can_be_used() -> None:
    key = run_command("keys", "secret").stdout.strip()
    place = endpoint_place(uuid4(), uuid4())
    assert Sealer((key,)).open(Sealer((key,)).seal("secret", place), place) == "secret"


def test_the_gateway_serves_by_itself(database: TestDatabase) -> None:
    with Command("serve", "--port", "0", environment={"DATABASE_URL": database.url}) as server:
        url = server.wait_for(r"serving.*(http://127\.0\.0\.1:\d+)")[1]
        assert httpx.get(f"{url}/readyz", trust_env=False, timeout=20).json() == {"status": "ok"}


def tls_options(folder: Path, key: str = "gateway.key") -> tuple[str | Path, ...]:
    return ("--tls-certificate", folder / "gateway.pem", "--tls-key", folder / key)


def test_the_gateway_speaks_https(database: TestDatabase, tmp_path: Path) -> None:
    write_certificate(tmp_path)
    environment = {"DATABASE_URL": database.url, "GATEWAY_HSTS_SECONDS": "3600"}
    known = ssl.create_default_context(cafile=tmp_path / "gateway.pem")
    known.check_hostname = False
    with Command("serve", "--port", "0", *tls_options(tmp_path), environment=environment) as server:
        url = httpx.URL(server.wait_for(r"serving.*(https://127\.0\.0\.1:\d+)")[1])
        answer = httpx.get(url.join("/readyz"), trust_env=False, timeout=20, verify=known)
        assert (answer.status_code, answer.headers["strict-transport-security"]) == (200, "max-age=3600")
        with (
            socket.create_connection((url.host, url.port or 0), timeout=20) as plain,
            known.wrap_socket(plain) as connection,
        ):
            assert connection.version() == "TLSv1.3"
            connection.sendall(b"NONSENSE\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url.copy_with(scheme="http"), trust_env=False, timeout=20)


def test_a_certificate_that_cannot_be_used_is_said_before_anything_starts(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    write_certificate(tmp_path / "other")
    options = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    sealed = serialization.load_pem_private_key((tmp_path / "gateway.key").read_bytes(), None).private_bytes(*options)
    (tmp_path / "sealed.key").write_bytes(sealed)
    for arguments, said in (
        (("--tls-certificate", tmp_path / "gateway.pem"), "belong together"),
        (tls_options(tmp_path, "none.key"), "No such file"),
        (tls_options(tmp_path, "other/gateway.key"), "mismatch"),
        (tls_options(tmp_path, "sealed.key"), "Cannot use the certificate"),
    ):
        ended = run_command("serve", "--port", "0", *arguments)
        assert (ended.status, said in ended.stderr) == (1, True), ended.stderr


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
    for command in ("up", "demo", "run", "serve", "migrate", "orgs", "users", "keys"):
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
