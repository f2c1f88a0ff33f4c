"""Rows that tests start from, written by the database's administrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import psycopg.sql
from psycopg.types.json import Jsonb

from workerapp.db.address import DatabaseAddress

NEVER_CALLED = "http://127.0.0.1:9/"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """A run with one pending result for each test."""

    id: UUID
    task_id: str
    organization_id: UUID
    test_ids: tuple[UUID, ...]


def connect(url: str, role: str | None = None, organization_id: UUID | None = None) -> psycopg.Connection:
    """A connection as the product makes it, acting for an organization for as long as it lives."""
    connection = psycopg.connect(DatabaseAddress.parse(url).conninfo(role=role), autocommit=True)
    if organization_id is not None:
        act_for(connection, organization_id)
    return connection


def act_for(connection: psycopg.Connection, organization_id: UUID) -> None:
    connection.execute("SELECT set_config('app.current_organization', %s, false)", (str(organization_id),))


def add_organization(admin: psycopg.Connection, name: str = "") -> UUID:
    organization_id = uuid4()
    act_for(admin, organization_id)
    admin.execute(
        "INSERT INTO organization (id, name) VALUES (%s, %s)", (organization_id, name or f"org {organization_id}")
    )
    return organization_id


def add_task(admin: psycopg.Connection, organization_id: UUID, **columns: Any) -> str:
    columns = {"id": str(uuid4()), "organization_id": organization_id, "name": "echo"} | columns
    return _insert(admin, "task", columns)


def add_configuration(
    admin: psycopg.Connection,
    organization_id: UUID,
    *,
    tests: list[dict[str, Any]],
    url: str = NEVER_CALLED,
    endpoint: dict[str, Any] | None = None,
    **spec: Any,
) -> UUID:
    """A test configuration with its endpoint and its test set."""
    act_for(admin, organization_id)
    endpoint_spec = {"name": "app", "url": url, "request": {"input": "{{ input }}"}} | (endpoint or {})
    endpoint_id = _insert(
        admin, "endpoint", {"organization_id": organization_id, "name": "app", "spec": Jsonb(endpoint_spec)}
    )
    test_set_id = _insert(admin, "test_set", {"organization_id": organization_id, "name": "questions"})
    for position, test in enumerate(tests):
        row = {
            "organization_id": organization_id,
            "test_set_id": test_set_id,
            "position": position,
            "input": Jsonb(test.get("input")),
            "turns": Jsonb(test["turns"]) if "turns" in test else None,
            "expected": Jsonb(test.get("expected")),
            "assertions": Jsonb(test.get("assertions", [])),
            "tags": test.get("tags", []),
        }
        _insert(admin, "test", row)
    configuration = {
        "organization_id": organization_id,
        "name": "configuration",
        "endpoint_id": endpoint_id,
        "test_set_id": test_set_id,
        "spec": Jsonb(spec),
    }
    return UUID(str(_insert(admin, "test_configuration", configuration)))


def add_run(admin: psycopg.Connection, organization_id: UUID, configuration_id: UUID, **columns: Any) -> UUID:
    """A queued run and the PENDING task it was submitted as."""
    act_for(admin, organization_id)
    run_id, task_id = uuid4(), str(uuid4())
    row = {
        "id": run_id,
        "organization_id": organization_id,
        "test_configuration_id": configuration_id,
        "task_id": task_id,
        "deadline_at": "infinity",
    } | columns
    _insert(admin, "test_run", row)
    add_task(admin, organization_id, id=task_id, name="execute_test_configuration", test_run_id=run_id)
    return run_id


def add_run_group(admin: psycopg.Connection, organization_id: UUID, **columns: Any) -> UUID:
    """A queued group of runs."""
    act_for(admin, organization_id)
    group_id = uuid4()
    _insert(admin, "run_group", {"id": group_id, "organization_id": organization_id} | columns)
    return group_id


def add_webhook_endpoint(admin: psycopg.Connection, organization_id: UUID, **columns: Any) -> UUID:
    """A subscription to runs and groups; what is sealed in it cannot be opened."""
    act_for(admin, organization_id)
    endpoint_id = uuid4()
    row = {
        "id": endpoint_id,
        "organization_id": organization_id,
        "url": NEVER_CALLED,
        "event_types": ["test_run.*", "run_group.*"],
        "sealed_secrets": b"",
    }
    _insert(admin, "webhook_endpoint", row | columns)
    return endpoint_id


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedGroup:
    """A group that has begun, and its runs."""

    id: UUID
    task_id: str
    runs: tuple[PlannedRun, ...]


def plan_group(admin: psycopg.Connection, organization_id: UUID, runs: int, tests: int) -> PlannedGroup:
    """A running group of runs of one configuration, the first of which is the baseline."""
    task_id = str(uuid4())
    group_id = add_run_group(admin, organization_id, planned=runs, task_id=task_id)
    add_task(admin, organization_id, id=task_id, name="execute_test_set", run_group_id=group_id)
    questions = [{"input": f"question {number}"} for number in range(tests)]
    configuration_id = add_configuration(admin, organization_id, tests=questions)
    planned = tuple(
        plan_run(admin, organization_id, configuration_id, run_group_id=group_id, group_place=place)
        for place in range(runs)
    )
    admin.execute(
        "UPDATE run_group SET status = 'running', started_at = now(), baseline_id = %s WHERE id = %s",
        (planned[0].id, group_id),
    )
    return PlannedGroup(id=group_id, task_id=task_id, runs=planned)


def plan(admin: psycopg.Connection, organization_id: UUID, tests: int, **columns: Any) -> PlannedRun:
    """A running run whose results are all pending."""
    questions = [{"input": f"question {number}"} for number in range(tests)]
    configuration_id = add_configuration(admin, organization_id, tests=questions)
    return plan_run(admin, organization_id, configuration_id, **columns)


def plan_run(admin: psycopg.Connection, organization_id: UUID, configuration_id: UUID, **columns: Any) -> PlannedRun:
    """The same of a configuration that is there."""
    run_id = add_run(admin, organization_id, configuration_id, **columns)
    admin.execute(
        "INSERT INTO test_result (test_run_id, test_id, organization_id, position)"
        " SELECT %s, t.id, t.organization_id, t.position FROM test t"
        " JOIN test_configuration c ON c.test_set_id = t.test_set_id WHERE c.id = %s",
        (run_id, configuration_id),
    )
    rows = admin.execute("SELECT test_id FROM test_result WHERE test_run_id = %s ORDER BY position", (run_id,))
    test_ids = tuple(row[0] for row in rows.fetchall())
    tests = len(test_ids)
    admin.execute(
        "UPDATE test_run SET status = 'running', planned = %s, pending = %s, snapshot = coalesce(snapshot,"
        " (SELECT jsonb_build_object('endpoint_id', e.id, 'endpoint', e.spec, 'configuration', c.spec)"
        " FROM test_configuration c JOIN endpoint e ON e.id = c.endpoint_id WHERE c.id = %s)) WHERE id = %s",
        (tests, tests, configuration_id, run_id),
    )
    task_id = _one(admin, "SELECT task_id FROM test_run WHERE id = %s", (run_id,))
    return PlannedRun(id=run_id, task_id=task_id, organization_id=organization_id, test_ids=test_ids)


def rows_of(admin: psycopg.Connection, organization_id: UUID) -> dict[str, str]:
    """A fingerprint of every table's rows of the organization."""
    columns = admin.execute(
        "SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t"
        " USING (table_schema, table_name) WHERE c.table_schema = 'gateway' AND t.table_type = 'BASE TABLE'"
        " AND c.column_name = 'organization_id' ORDER BY 1"
    ).fetchall()
    return {table: _fingerprint(admin, table, organization_id) for (table,) in columns}


def _fingerprint(admin: psycopg.Connection, table: str, organization_id: UUID) -> str:
    statement = (
        f"SELECT count(*) || ' rows, ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '')"
        f' FROM gateway."{table}" t WHERE organization_id = %s'
    )
    row = admin.execute(statement.encode(), (organization_id,)).fetchone()
    assert row is not None
    return str(row[0])


def _insert(admin: psycopg.Connection, table: str, columns: dict[str, Any]) -> Any:
    names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, columns))
    values = psycopg.sql.SQL(", ").join(map(psycopg.sql.Placeholder, columns))
    statement = psycopg.sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING id").format(
        psycopg.sql.Identifier(table), names, values
    )
    return _one(admin, statement, columns)


def _one(connection: psycopg.Connection, statement: Any, parameters: Any) -> Any:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None
    return row[0]
