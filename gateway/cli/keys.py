"""API keys, and the key that seals stored secrets. Use the database login that migrated."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg

from gateway.auth.keyring import KeyringRefused, create_key, create_organization, open_keyring, revoke_key
from gateway.auth.keys import TENANT_SCOPES, Scope
from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.operator_database import add_database_argument, database_url
from workerapp.db.address import DatabaseAddress
from workerapp.db.sealing import new_key

_LIST = (
    "SELECT k.id, o.name, k.prefix, k.name, k.scopes, k.created_at, k.last_used_at, k.expires_at, k.revoked_at"
    " FROM api_key AS k JOIN organization AS o ON o.id = k.organization_id"
    " WHERE %(organization)s::text IS NULL OR o.name = %(organization)s ORDER BY o.name, k.created_at"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create a key, and its organization if it is new")
    create.set_defaults(action=_create)
    create.add_argument("--organization", required=True, metavar="NAME", help="whose key it is")
    create.add_argument("--name", default="key", help="to tell it from others (default: key)")
    create.add_argument(
        "--scopes",
        default=",".join(TENANT_SCOPES),
        help=f"separated by commas, of {', '.join(Scope)} (default: %(default)s); {Scope.ADMIN} sees all organizations",
    )
    listing = actions.add_parser("list", help="list keys, without their secrets")
    listing.set_defaults(action=_list)
    listing.add_argument("--organization", metavar="NAME", help="only this organization's")
    revoke = actions.add_parser("revoke", help="make a key useless")
    revoke.set_defaults(action=_revoke)
    revoke.add_argument("id", type=UUID, help="the key's id, as `gateway keys list` shows it")
    secret = actions.add_parser("secret", help="print a new key for GATEWAY_SECRET_KEYS")
    secret.set_defaults(action=_secret)
    for action in (create, listing, revoke):
        add_database_argument(action)
    for action in (create, listing):
        action.add_argument("--json", action="store_true", help="print JSON, an object a line")


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    options.action(options)
    return ExitStatus.OK


@contextmanager
def keyring(url: str) -> Iterator[psycopg.Connection]:
    """One transaction that may make keys.

    Raises:
        CommandFailed: the database cannot be reached, refuses, or has no schema yet.
    """
    address = DatabaseAddress.parse(url)
    try:
        with open_keyring(address) as connection:
            yield connection
    except KeyringRefused as error:
        raise CommandFailed(str(error)) from error
    except psycopg.errors.UndefinedTable as error:
        raise CommandFailed(f"{address.redacted()} has no tables yet; run `gateway migrate` first") from error
    except psycopg.Error as error:
        problem = str(error).strip().splitlines()[0]
        hint = "; run `gateway migrate` first" if 'role "definer" does not exist' in problem else ""
        raise CommandFailed(f"the database {address.redacted()} cannot be used: {problem}{hint}") from error


def _create(options: argparse.Namespace) -> None:
    with keyring(database_url(options.database_url)) as connection:
        organization = create_organization(connection, options.organization)
        key = create_key(connection, organization, options.name, options.scopes.split(","))
    if options.json:
        made = {"api_key": key.secret, "key_id": str(key.id), "organization_id": str(key.organization_id)}
        print(json.dumps(made))
    else:
        print(f"API key      {key.secret}")
        print(f"Key id       {key.id}")
        print(f"Organization {options.organization} ({key.organization_id})")
        print("Keep the key: it is stored as a hash and cannot be shown again.")


def _list(options: argparse.Namespace) -> None:
    with keyring(database_url(options.database_url)) as connection:
        rows = connection.execute(_LIST, {"organization": options.organization}).fetchall()
    for key_id, organization, prefix, name, scopes, *times in rows:
        created, used, expires, revoked = (at and at.isoformat(timespec="seconds") for at in times)
        if options.json:
            fields = {"key_id": str(key_id), "organization": organization, "prefix": prefix, "name": name}
            fields |= {"scopes": scopes, "created_at": created, "last_used_at": used, "expires_at": expires}
            print(json.dumps(fields | {"revoked_at": revoked}))
        else:
            state = f"revoked {revoked}" if revoked else f"last used {used or 'never'}"
            print(f"{key_id}  tsg_{prefix}…  {organization}  {name}  {','.join(scopes)}  {state}")


def _revoke(options: argparse.Namespace) -> None:
    with keyring(database_url(options.database_url)) as connection:
        if not revoke_key(connection, options.id):
            raise CommandFailed(f"there is no key {options.id} in use; `gateway keys list` shows those there are")
    print(f"The key {options.id} is revoked.")


def _secret(_: argparse.Namespace) -> None:
    print(new_key())
