"""The users of organizations: what a key's runs and tasks bear as theirs. Use the database login that migrated."""

from __future__ import annotations

import argparse
from uuid import UUID

import psycopg

from gateway.auth.keyring import check_name, create_organization
from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.operator_database import add_database_argument, keyring, rows_of
from gateway.cli.rows import print_rows
from gateway.operator_audit import note_operation

_LIST = (
    "SELECT u.id AS user_id, o.name AS organization, u.name, u.email, u.created_at,"
    " (SELECT count(*) FROM api_key AS k WHERE k.organization_id = u.organization_id AND k.user_id = u.id) AS keys"
    " FROM app_user AS u JOIN organization AS o ON o.id = u.organization_id"
    " WHERE %(organization)s::text IS NULL OR o.name = %(organization)s ORDER BY o.name, u.name, u.id"
)
_CREATE = "INSERT INTO app_user (organization_id, name, email) VALUES (%s, %s, %s) RETURNING id"
_REMOVE = (
    "WITH keys AS (SELECT count(*) AS count FROM api_key WHERE user_id = %(id)s)"
    " DELETE FROM app_user WHERE id = %(id)s RETURNING organization_id, (SELECT count FROM keys) AS count"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create a user, and the organization if it is new")
    create.set_defaults(action=_create)
    create.add_argument("--organization", required=True, metavar="NAME", help="whose user it is")
    create.add_argument("--name", required=True, help="what the user is called")
    create.add_argument("--email", help="no two users of an organization have the same")
    listing = actions.add_parser("list", help="list users, with how many keys each has")
    listing.set_defaults(action=_list)
    listing.add_argument("--organization", metavar="NAME", help="only this organization's")
    remove = actions.add_parser("remove", help="remove a user and the user's keys; runs and tasks stay")
    remove.set_defaults(action=_remove)
    remove.add_argument("id", type=UUID, help="the user's id, as `gateway users list` shows it")
    for action in (create, listing, remove):
        add_database_argument(action)
    for action in (create, listing):
        action.add_argument("--json", action="store_true", help="print JSON, an object a line")


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    options.action(options)
    return ExitStatus.OK


def _create(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        check_name("A user's name", options.name)
        organization = create_organization(connection, options.organization)
        try:
            (row,) = rows_of(connection, _CREATE, (organization, options.name, options.email))
        except psycopg.errors.UniqueViolation as error:
            raise CommandFailed(f"{options.organization} has a user with the email {options.email}") from error
        note_operation(connection, "user.create", row["id"], organization)
    user = {"user_id": row["id"], "organization_id": organization}
    print_rows([user | {"name": options.name, "email": options.email}], as_json=options.json)


def _list(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        rows = rows_of(connection, _LIST, {"organization": options.organization})
    print_rows(rows, as_json=options.json)


def _remove(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        rows = rows_of(connection, _REMOVE, {"id": options.id})
        for row in rows:
            note_operation(connection, "user.remove", options.id, row["organization_id"], keys=row["count"])
    if not rows:
        raise CommandFailed(f"there is no user {options.id}; `gateway users list` shows those there are")
    print(f"The user {options.id} is removed, with {rows[0]['count']} keys.")
