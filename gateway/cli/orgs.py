"""Organizations, which own everything there is. Use the database login that migrated."""

from __future__ import annotations

import argparse
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from gateway.auth.keyring import check_name
from gateway.cli.failures import CommandFailed, ExitStatus, UsageInvalid
from gateway.cli.operator_database import add_database_argument, keyring, rows_of
from gateway.cli.rows import print_rows
from gateway.operator_audit import note_operation

_CREATE = "SELECT admin_create_organization(%s) AS id"
_CHANGE = "SELECT admin_change_organization(%s, NULL, %s)"
_LIST = "SELECT found.* FROM organization o, admin_organization(o.id) AS found ORDER BY o.name"
_SHOW = "SELECT found.* FROM organization o, admin_organization(o.id) AS found WHERE o.name = %s"
_TABLES = (
    "SELECT a.attrelid::regclass::text AS name FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
    " WHERE a.attname = 'organization_id' AND c.relkind IN ('r', 'p') AND c.relnamespace = 'gateway'::regnamespace"
    " ORDER BY 1"
)
#: What does not go by itself when its organization goes, and what else must go first.
_FIRST = ("test_run", "run_group", "broker_message", "chord", "task_event")
#: The audit log tells what was done, to what is gone too, until its own time is over.
_KEPT = "audit_event"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create an organization; nobody has a key of it yet")
    create.set_defaults(action=_create)
    listing = actions.add_parser("list", help="list organizations, with how much they have")
    listing.set_defaults(action=_list)
    show = actions.add_parser("show", help="show one, and how many rows it has in each table")
    show.set_defaults(action=_show)
    remove = actions.add_parser("remove", help="remove an organization and all that it has")
    remove.set_defaults(action=_remove)
    remove.add_argument("--yes", action="store_true", help="do it; without this it is only told what would be removed")
    plan = actions.add_parser("set-plan", help="give one another plan, of those in GATEWAY_PLANS")
    plan.set_defaults(action=_set_plan)
    for action in (create, show, remove, plan):
        action.add_argument("name", help="the organization's name")
    plan.add_argument("plan", help="the plan's name; a gateway that knows no plan of it applies `default`")
    for action in (create, listing, show, remove, plan):
        add_database_argument(action)
        action.add_argument("--json", action="store_true", help="print JSON, an object a line")


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    options.action(options)
    return ExitStatus.OK


def _create(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        check_name("An organization's name", options.name)
        (made,) = rows_of(connection, _CREATE, (options.name,))
        if made["id"] is None:
            raise CommandFailed(f"there is an organization of the name {options.name}")
        note_operation(connection, "organization.create", made["id"], made["id"], name=options.name)
        print_rows(rows_of(connection, _SHOW, (options.name,)), as_json=options.json)


def _list(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        print_rows(rows_of(connection, _LIST, ()), as_json=options.json)


def _show(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        organization = _find(connection, options.name)
        rows = _rows(connection, organization["id"])
    if options.json:
        print_rows([organization | {"rows": {row["table"]: row["rows"] for row in rows}}], as_json=True)
    else:
        print_rows([organization], as_json=False)
        print()
        print_rows(rows, as_json=False)


def _remove(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        organization_id = _find(connection, options.name)["id"]
        print_rows((row for row in _rows(connection, organization_id) if row["table"] != _KEPT), as_json=options.json)
        if not options.yes:
            raise UsageInvalid("nothing was removed; with --yes all of this is, for good")
        for table in _FIRST:
            statement = sql.SQL("DELETE FROM {} WHERE organization_id = %s").format(sql.Identifier(table))
            connection.execute(statement, (organization_id,))
        connection.execute("DELETE FROM organization WHERE id = %s", (organization_id,))
        note_operation(connection, "organization.remove", organization_id, organization_id, name=options.name)
    if not options.json:
        print(f"The organization {options.name} is removed.")


def _set_plan(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        organization_id = _find(connection, options.name)["id"]
        check_name("A plan's name", options.plan, 100)
        connection.execute(_CHANGE, (organization_id, options.plan))
        note_operation(connection, "organization.change", organization_id, organization_id, plan=options.plan)
        print_rows(rows_of(connection, _SHOW, (options.name,)), as_json=options.json)


def _find(connection: psycopg.Connection, name: str) -> dict[str, Any]:
    found = rows_of(connection, _SHOW, (name,))
    if not found:
        raise CommandFailed(f"there is no organization {name}; `gateway orgs list` shows those there are")
    return found[0]


def _rows(connection: psycopg.Connection, organization_id: UUID) -> list[dict[str, Any]]:
    """How many rows of each table are the organization's, where there are any."""
    counted = []
    for table in rows_of(connection, _TABLES, ()):
        statement = sql.SQL("SELECT %(table)s AS table, count(*) AS rows FROM {} WHERE organization_id = %(id)s")
        counted += rows_of(
            connection, statement.format(sql.Identifier(table["name"])), {"table": table["name"], "id": organization_id}
        )
    return [row for row in counted if row["rows"]]
