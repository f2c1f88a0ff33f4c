"""`gateway secret-keys rotate`: all stored secrets are sealed anew with the first key, and then the others can go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from gateway.resealing import COLUMNS
from tests.integration.audit_log import entries_of
from tests.postgres import TestDatabase
from tests.records import add_organization, add_webhook_endpoint, connect
from tests.stack.commands import Ended, run_command
from workerapp.db.sealing import Sealer, endpoint_place, new_key, webhook_headers_place, webhook_secrets_place

OLD, NEW = new_key(), new_key()
SECRETS = 5


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def stored(admin: psycopg.Connection) -> dict[UUID, str]:
    """The secrets of endpoints of two organizations, sealed with the old key; one endpoint has none."""
    owners, sealer = [add_organization(admin), add_organization(admin)], Sealer((OLD,))
    secrets = {add_endpoint(admin, owners[number % 2]): f"hunter{number}" for number in range(SECRETS)}
    for key, secret in secrets.items():
        sealed = sealer.seal(secret, endpoint_place(owner_of(admin, key), key))
        admin.execute("UPDATE endpoint SET sealed_headers = %s WHERE id = %s", (sealed, key))
    add_endpoint(admin, owners[0])
    return secrets


def add_endpoint(admin: psycopg.Connection, owner: UUID) -> UUID:
    made = admin.execute(
        "INSERT INTO endpoint (organization_id, name, spec) VALUES (%s, 'x', %s) RETURNING id", (owner, Jsonb({}))
    ).fetchone()
    assert made is not None
    return UUID(str(made[0]))


def owner_of(admin: psycopg.Connection, key: UUID) -> UUID:
    row = admin.execute("SELECT organization_id FROM endpoint WHERE id = %s", (key,)).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def rotate(database: TestDatabase, keys: str, *options: str) -> Ended:
    environment = {"DATABASE_URL": database.admin_url, "GATEWAY_SECRET_KEYS": keys}
    return run_command("secret-keys", "rotate", "--json", *options, environment=environment)


def printed(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


def opened(admin: psycopg.Connection, key: str) -> dict[UUID, str]:
    rows = admin.execute("SELECT id, organization_id, sealed_headers FROM endpoint WHERE sealed_headers IS NOT NULL")
    sealer = Sealer((key,))
    return {row_id: sealer.open(bytes(sealed), endpoint_place(owner, row_id)) for row_id, owner, sealed in rows}


def test_all_secrets_are_sealed_with_the_first_key_and_a_second_time_there_is_nothing_to_do(
    database: TestDatabase, admin: psycopg.Connection, stored: dict[UUID, str]
) -> None:
    new_id, old_id = Sealer((NEW, OLD)).key_ids
    (needed,) = printed(rotate(database, f"{NEW},{OLD}", "--check"))
    assert needed == {"key_id": old_id, "listed": "later", "secrets": SECRETS, "column": "endpoint.sealed_headers"}
    done = rotate(database, f"{NEW},{OLD}", "--batch", "2")
    assert (done.status, printed(done)) == (0, [{"key_id": new_id, "resealed": SECRETS, "not_opened": 0}])
    assert opened(admin, NEW) == stored
    (needed,) = printed(rotate(database, NEW, "--check"))
    assert (needed["key_id"], needed["listed"]) == (new_id, "first")
    again = rotate(database, NEW)
    assert (again.status, printed(again)[0]["resealed"]) == (0, 0)
    batches = [entry for entry in entries_of(admin) if entry["action"] == "secret_key.rotate"]
    assert [entry["details"] for entry in batches] == [{"secrets": 2}, {"secrets": 2}, {"secrets": 1}]
    assert {(entry["resource_id"], entry["organization_id"]) for entry in batches} == {(new_id, None)}


def test_what_is_secret_of_webhooks_is_sealed_anew_for_its_place(
    database: TestDatabase, admin: psycopg.Connection
) -> None:
    owner = add_organization(admin)
    key = add_webhook_endpoint(admin, owner)
    places = {"sealed_secrets": webhook_secrets_place(owner, key), "sealed_headers": webhook_headers_place(owner, key)}
    for column, place in places.items():
        sealed = Sealer((OLD,)).seal(column, place)
        admin.execute(f"UPDATE webhook_endpoint SET {column} = %s".encode(), (sealed,))
    needed = printed(rotate(database, f"{NEW},{OLD}", "--check"))
    assert {(use["column"], use["listed"], use["secrets"]) for use in needed} == {
        (f"webhook_endpoint.{column}", "later", 1) for column in places
    }
    done = rotate(database, f"{NEW},{OLD}")
    assert (done.status, printed(done)[0]["resealed"]) == (0, 2)
    for column, place in places.items():
        row = admin.execute(f"SELECT {column} FROM webhook_endpoint".encode()).fetchone()
        assert row is not None
        assert Sealer((NEW,)).open(bytes(row[0]), place) == column


def test_every_sealed_column_there_is_can_be_sealed_anew(admin: psycopg.Connection) -> None:
    rows = admin.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'gateway' AND column_name LIKE 'sealed%'"
    ).fetchall()
    assert {(column.table, column.column) for column in COLUMNS} == set(rows) != set()


def test_what_was_interrupted_goes_on(database: TestDatabase, admin: psycopg.Connection, stored: dict[UUID, str]):
    first = min(stored)
    anew = Sealer((NEW,)).seal(stored[first], endpoint_place(owner_of(admin, first), first))
    admin.execute("UPDATE endpoint SET sealed_headers = %s WHERE id = %s", (anew, first))
    assert printed(rotate(database, f"{NEW},{OLD}"))[0]["resealed"] == SECRETS - 1
    assert opened(admin, NEW) == stored


def test_secrets_that_no_key_opens_are_left_as_they_are_and_told(
    database: TestDatabase, admin: psycopg.Connection, stored: dict[UUID, str]
) -> None:
    lost, place = min(stored), endpoint_place(owner_of(admin, min(stored)), min(stored))
    gone = Sealer((new_key(),))
    sealed = gone.seal("lost", place)
    admin.execute("UPDATE endpoint SET sealed_headers = %s WHERE id = %s", (sealed, lost))
    check = rotate(database, f"{NEW},{OLD}", "--check")
    assert {(use["key_id"], use["listed"], use["secrets"]) for use in printed(check)} == {
        (gone.key_ids[0], "missing", 1),
        (Sealer((OLD,)).key_ids[0], "later", SECRETS - 1),
    }
    assert (check.status, "1 secrets need keys that are not in GATEWAY_SECRET_KEYS" in check.stderr) == (1, True)
    done = rotate(database, f"{NEW},{OLD}", "--batch", "1")
    assert (done.status, "1 secrets were left as they are" in done.stderr) == (1, True)
    assert printed(done)[0] == {"key_id": Sealer((NEW,)).key_ids[0], "resealed": SECRETS - 1, "not_opened": 1}
    row = admin.execute("SELECT sealed_headers FROM endpoint WHERE id = %s", (lost,)).fetchone()
    assert row == (sealed,)


@pytest.mark.parametrize(("keys", "said"), [("", "GATEWAY_SECRET_KEYS is not set"), ("short", "key number 1")])
def test_without_a_good_key_nothing_is_done(database: TestDatabase, keys: str, said: str) -> None:
    ended = rotate(database, keys)
    assert (ended.status, ended.stdout, said in ended.stderr) == (1, "", True), ended.stderr
