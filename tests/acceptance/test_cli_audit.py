"""What operators do with commands is in the audit log, of the organization that it was done to."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.integration.audit_log import Entry, entries_of
from tests.postgres import TestDatabase
from tests.records import PlannedRun, act_for, connect, plan
from tests.stack.commands import run_command


@pytest.fixture
def environment(database: TestDatabase) -> dict[str, str]:
    return {"DATABASE_URL": database.admin_url}


def done(environment: dict[str, str], *arguments: str) -> Any:
    """The first line of JSON that a command printed."""
    ended = run_command(*arguments, "--json", environment=environment)
    assert ended.status == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[0])


def told(entry: Entry) -> tuple[str, str, UUID | None, dict[str, Any]]:
    return entry["action"], entry["resource_id"], entry["organization_id"], entry["details"]


def test_organizations_users_and_keys(database: TestDatabase, environment: dict[str, str]) -> None:
    first = done(environment, "keys", "create", "--organization", "acme", "--scopes", "runs:read")
    user = done(environment, "users", "create", "--organization", "acme", "--name", "anna")
    second = done(environment, "keys", "rotate", first["key_id"])
    assert run_command("keys", "revoke", second["key_id"], environment=environment).status == 0
    assert run_command("keys", "revoke", second["key_id"], environment=environment).status == 1
    assert run_command("users", "remove", user["user_id"], environment=environment).status == 0
    other = done(environment, "orgs", "create", "other")
    assert run_command("orgs", "remove", "other", environment=environment).status == 2
    assert run_command("orgs", "remove", "other", "--yes", environment=environment).status == 0
    acme, gone = UUID(first["organization_id"]), UUID(other["id"])
    with connect(database.admin_url) as admin:
        written = entries_of(admin)
        login = admin.execute("SELECT session_user").fetchone()
    assert [told(entry) for entry in written] == [
        ("organization.create", str(acme), acme, {"name": "acme"}),
        ("api_key.create", first["key_id"], acme, {"scopes": ["runs:read"], "expires_at": None}),
        ("user.create", user["user_id"], acme, {}),
        ("api_key.rotate", first["key_id"], acme, {"made": f"/v1/api-keys/{second['key_id']}"}),
        ("api_key.revoke", second["key_id"], acme, {}),
        ("user.remove", user["user_id"], acme, {"keys": 0}),
        ("organization.create", str(gone), gone, {"name": "other"}),
        ("organization.remove", str(gone), gone, {"name": "other"}),
    ]
    assert login is not None
    assert {(entry["actor"], entry["subject"], entry["outcome"]) for entry in written} == {
        ("operator", login[0], "done")
    }


def test_what_ends_work(database: TestDatabase, environment: dict[str, str]) -> None:
    with connect(database.admin_url) as admin:
        run = planned(admin, done(environment, "orgs", "create", "acme")["id"])
        task_id = str(admin.execute("SELECT id FROM task LIMIT 1").fetchone()[0])  # type: ignore[index]
        before = len(entries_of(admin))
        done(environment, "admin", "cancel", str(run.id))
        done(environment, "admin", "revoke", task_id)
        done(environment, "admin", "terminate", task_id)
        done(environment, "admin", "purge", "celery", "--confirm", "celery")
        assert run_command("admin", "revoke", "nothing", environment=environment).status == 1
        written = entries_of(admin)[before:]
    owner = run.organization_id
    assert [told(entry)[:3] for entry in written] == [
        ("test_run.cancel", str(run.id), owner),
        ("task.revoke", task_id, owner),
        ("task.terminate", task_id, owner),
        ("queue.purge", "celery", None),
    ]
    assert written[-1]["details"] == {"messages": 0}


def planned(admin: psycopg.Connection, organization_id: str) -> PlannedRun:
    act_for(admin, UUID(organization_id))
    return plan(admin, UUID(organization_id), 1)
