"""The functions of the database that serving roles may call: acting for one organization, they touch no other."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import PlannedRun, act_for, add_organization, connect, plan_group, rows_of
from tests.security import documented

MARK = "what only its owner may read"
#: What is called with the other organization's ids, by a role that acts for one's own. Those which are told the
#: organization by an argument are told one's own.
OF_THE_GATEWAY = {
    "broker_publish": "'celery', jsonb_build_object('properties', '{}'::jsonb, 'headers', jsonb_build_object("
    "'task', 'echo', 'id', %(task)s::text, 'organization_id', %(theirs)s::text))",
    "cancel_group": "%(group)s",
    "cancel_run": "%(run)s",
    "cancel_task": "%(task)s",
    "cancel_tasks": "ARRAY[%(task)s]",
    "create_api_key": "'x', 'x', sha256('x'), ARRAY['runs:read'], NULL, %(user)s, 100",
    "late_events": "ARRAY(SELECT xid FROM task_event), '0'::xid8, pg_current_xact_id()",
}
OF_THE_WORKER = {
    "read_tasks": "ARRAY[%(task)s], false",
    "record_task_state": "%(task)s, %(mine)s, 'SUCCESS', '1', NULL, NULL, NULL, 'x', NULL, 0, NULL, NULL, NULL, NULL,"
    " NULL, false",
    "end_chord_part": "%(task)s, %(mine)s, 'SUCCESS', '1', NULL, NULL, NULL, 'x', NULL, 0, NULL, NULL, NULL, %(chord)s,"
    " NULL, false, 0, '1'",
    "record_task_progress": "%(task)s, %(mine)s, '{}'",
    "return_chord_part": "%(chord)s, %(mine)s, %(task)s, 0, 'SUCCESS', '1'",
    "begin_chord": "%(chord)s, %(mine)s, '{}', NULL",
    "webhook_trace": "%(mine)s, jsonb_build_object('data', jsonb_build_object('test_run_id', %(run)s::uuid))",
    # These run with the rights of who calls them, so that the policies of the tables hold.
    "settle_run": "%(run)s",
    "record_results": "%(run)s, jsonb_build_array(jsonb_build_object("
    "'test_id', %(test)s::uuid, 'status', 'pass', 'attempts', 1))",
    "settle_group": "%(group)s",
    "settle_group_of": "%(run)s",
    "compare_group": "%(theirs)s, %(group)s",
    "group_outcomes": "%(theirs)s, %(group)s",
    "fair_share": "%(endpoint)s, %(run)s, 1, interval '1 minute'",
    "take_share": "%(endpoint)s, %(run)s, 1, 1, 0, interval '1 minute', interval '1 minute'",
    "paired_results": "%(theirs)s, %(run)s, %(other_run)s",
}
CALLS = OF_THE_GATEWAY | OF_THE_WORKER
#: They look at nothing but their arguments, the settings of the session, or the row of a table they are given.
OF_THEIR_ARGUMENTS = {
    *("asked_by", "current_organization", "failed_too_often", "finish_task_of_group", "finish_task_of_run"),
    *("is_final_state", "next_xid", "result_of_group", "revoked_error", "run_group_event_data", "serving_role"),
    *("settle_reason", "short_text", "task_error_message", "task_event_data", "task_event_type"),
    *("test_run_event_data", "uuid7", "webhook_links", "webhook_payload", "worst_first"),
}
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ForeignKeyViolation, psycopg.errors.RaiseException)


@pytest.fixture
def admin(module_database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(module_database.admin_url) as connection:
        yield connection


@pytest.fixture
def theirs(admin: psycopg.Connection) -> dict[str, str | UUID]:
    """What an organization has that is in the middle of everything."""
    organization_id = add_organization(admin)
    group = plan_group(admin, organization_id, runs=2, tests=2)
    first, second = group.runs
    act_for(admin, organization_id)
    admin.execute("UPDATE task SET result = %s, group_id = 'chord' WHERE id = %s", (Jsonb(MARK), first.task_id))
    admin.execute("UPDATE test_result SET output = %s WHERE organization_id = %s", (Jsonb(MARK), organization_id))
    admin.execute(
        "INSERT INTO chord (group_id, organization_id, body, size) VALUES (%s, %s, %s, 3)",
        (str(organization_id), organization_id, Jsonb(MARK)),
    )
    user = admin.execute(
        "INSERT INTO app_user (organization_id, name, email) VALUES (%s, 'x', 'x') RETURNING id", (organization_id,)
    ).fetchone()
    endpoint = admin.execute("SELECT id FROM endpoint WHERE organization_id = %s", (organization_id,)).fetchone()
    assert user is not None
    assert endpoint is not None
    others = {"theirs": organization_id, "group": group.id, "user": user[0], "endpoint": endpoint[0]}
    return _ids(first, second) | others


def _ids(first: PlannedRun, second: PlannedRun) -> dict[str, str | UUID]:
    chord = str(first.organization_id)
    return {"run": first.id, "other_run": second.id, "task": first.task_id, "test": first.test_ids[0], "chord": chord}


@pytest.mark.parametrize("name", CALLS)
def test_called_with_another_organizations_ids_a_function_tells_and_changes_nothing(
    module_database: TestDatabase, admin: psycopg.Connection, theirs: dict[str, str | UUID], name: str
) -> None:
    role = "gateway_rw" if name in OF_THE_GATEWAY else "worker_rw"
    mine, other = add_organization(admin), UUID(str(theirs["theirs"]))
    before = everything(admin, other)
    with connect(module_database.url, role, mine) as connection:
        try:
            rows = connection.execute(
                f"SELECT * FROM {name}({CALLS[name]})".encode(), theirs | {"mine": mine}
            ).fetchall()
        except REFUSED:
            rows = []
    assert MARK not in str(rows)
    assert str(other) not in str(rows)
    assert everything(admin, other) == before


def everything(admin: psycopg.Connection, organization_id: UUID) -> dict[str, str]:
    return {**rows_of(admin, organization_id), "parts": str(admin.execute("SELECT * FROM chord_part").fetchall())}


def test_every_function_that_a_serving_role_may_call_is_tried_or_listed(admin: psycopg.Connection) -> None:
    rows = admin.execute(
        "SELECT DISTINCT proname, prosecdef FROM pg_proc WHERE pronamespace = 'gateway'::regnamespace"
        " AND prorettype <> 'trigger'::regtype AND EXISTS (SELECT FROM unnest(%s::text[]) AS r(role)"
        " WHERE has_function_privilege(role, pg_proc.oid, 'EXECUTE'))",
        (["gateway_rw", "worker_rw", "event_reader"],),
    ).fetchall()
    callable_ones = {name for name, _ in rows}
    crossing = documented("Functions that cross organizations")
    assert callable_ones == CALLS.keys() | OF_THEIR_ARGUMENTS | crossing
    assert {name for name, definer in rows if definer} <= CALLS.keys() | crossing


def test_a_function_with_more_rights_than_its_caller_looks_up_names_in_our_schema_only(
    admin: psycopg.Connection,
) -> None:
    rows = admin.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'gateway'::regnamespace AND prosecdef"
    ).fetchall()
    assert [name for name, settings in rows if "search_path=gateway, pg_temp" not in (settings or [])] == []
