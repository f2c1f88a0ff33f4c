"""API keys, and the key that seals stored secrets. Use the database login that migrated."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from uuid import UUID

from gateway.auth.keyring import NewKey, create_key, create_organization, replace_key, revoke_key
from gateway.auth.keys import DEFAULT_SCOPES, MARK, Scope
from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.operator_database import add_database_argument, keyring, rows_of
from gateway.cli.rows import print_rows
from workerapp.db.sealing import new_key

_LIST = (
    "SELECT k.id AS key_id, o.name AS organization, k.prefix, k.name, k.scopes, k.user_id, k.created_at,"
    " k.last_used_at, k.expires_at, k.revoked_at"
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
    create.add_argument("--user", type=UUID, metavar="ID", help="which of the organization's users has it")
    create.add_argument(
        "--expires-in", type=_duration, metavar="SECONDS", help="how long it is good (default: for ever)"
    )
    create.add_argument(
        "--scopes",
        default=",".join(DEFAULT_SCOPES),
        help=f"separated by commas, of {', '.join(Scope)} (default: %(default)s); {Scope.ADMIN} sees all organizations",
    )
    listing = actions.add_parser("list", help="list keys, without their secrets")
    listing.set_defaults(action=_list)
    listing.add_argument("--organization", metavar="NAME", help="only this organization's")
    rotate = actions.add_parser("rotate", help="create another key in the place of one, which ends")
    rotate.set_defaults(action=_rotate)
    rotate.add_argument("id", type=UUID, help="the key's id, as `gateway keys list` shows it")
    rotate.add_argument(
        "--overlap",
        type=_duration,
        default=timedelta(0),
        metavar="SECONDS",
        help="how long the old one is good yet (default: 0)",
    )
    revoke = actions.add_parser("revoke", help="make a key useless, and end what it has open")
    revoke.set_defaults(action=_revoke)
    revoke.add_argument("id", type=UUID, help="the key's id, as `gateway keys list` shows it")
    secret = actions.add_parser("secret", help="print a new key for GATEWAY_SECRET_KEYS")
    secret.set_defaults(action=_secret)
    for action in (create, listing, rotate, revoke):
        add_database_argument(action)
    for action in (create, listing, rotate):
        action.add_argument("--json", action="store_true", help="print JSON, an object a line")


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    options.action(options)
    return ExitStatus.OK


def _duration(text: str) -> timedelta:
    """Some seconds, up to a hundred years."""
    seconds = int(text)
    if not 0 <= seconds <= 3_155_760_000:  # noqa: PLR2004 - a hundred years
        raise argparse.ArgumentTypeError(f"{text} is less than 0 or more than a hundred years")
    return timedelta(seconds=seconds)


def _create(options: argparse.Namespace) -> None:
    expires_at = options.expires_in and datetime.now(UTC) + options.expires_in
    with keyring(options) as connection:
        organization = create_organization(connection, options.organization)
        scopes = options.scopes.split(",")
        key = create_key(connection, organization, options.name, scopes, expires_at=expires_at, user_id=options.user)
    _show(key, options)


def _rotate(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        key = replace_key(connection, options.id, options.overlap)
    _show(key, options)
    if not options.json:
        seconds = options.overlap.total_seconds()
        print(f"The key {options.id} " + (f"is good for {seconds:g} seconds yet." if seconds else "has ended."))


def _show(key: NewKey, options: argparse.Namespace) -> None:
    shown = {"api_key": key.secret, "key_id": str(key.id), "organization_id": str(key.organization_id)}
    if options.json:
        print_rows([shown], as_json=True)
    else:
        print(f"API key       {key.secret}\nKey id        {key.id}\nOrganization  {key.organization_id}")
        print("Keep the key: it is stored as a hash and cannot be shown again.")


def _list(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        rows = rows_of(connection, _LIST, {"organization": options.organization})
    print_rows([row | {"prefix": f"{MARK}{row['prefix']}"} for row in rows], as_json=options.json)


def _revoke(options: argparse.Namespace) -> None:
    with keyring(options) as connection:
        if not revoke_key(connection, options.id):
            raise CommandFailed(f"there is no key {options.id} in use; `gateway keys list` shows those there are")
    print(f"The key {options.id} is revoked.")


def _secret(_: argparse.Namespace) -> None:
    print(new_key())
