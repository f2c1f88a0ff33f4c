"""Makes organizations and API keys; for operators, with a login that owns the database (or is superuser)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from gateway.auth.keys import DEFAULT_SCOPES, Scope, new_secret
from gateway.operator_audit import note_operation
from workerapp.db.address import DatabaseAddress

#: Row-level security is forced, so it binds the owner too; this role's policies let it see every organization.
ROLE = "definer"
MAX_NAME_LENGTH = 200

_REPLACE = (
    "UPDATE api_key SET expires_at = least(expires_at, now() + %(overlap)s) FROM"
    " (SELECT id, CASE WHEN expires_at IS NOT NULL THEN now() + (expires_at - created_at) END AS next_expires_at"
    "  FROM api_key WHERE id = %(id)s FOR UPDATE) AS old"
    " WHERE api_key.id = old.id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
    " RETURNING organization_id, name, scopes, user_id, next_expires_at"
)
_REVOKE = "UPDATE api_key SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL RETURNING organization_id"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A new key; its secret cannot be read again."""

    id: UUID
    secret: str
    prefix: str
    organization_id: UUID


class KeyringRefused(Exception):
    """What was asked for cannot be done; the message says why."""


@contextmanager
def open_keyring(address: DatabaseAddress) -> Iterator[psycopg.Connection]:
    """One transaction that may make organizations and keys; it commits at the end of the block.

    Raises:
        KeyringRefused: the login may not act as the role that may.
    """
    try:
        connection = psycopg.connect(address.conninfo(role=ROLE, application_name="gateway-keys"))
    except psycopg.OperationalError as error:
        if "permission denied to set role" in str(error):
            raise KeyringRefused(
                f"The database user of {address.redacted()} may not make keys; use the login that migrated."
            ) from error
        raise
    with connection:
        yield connection


def create_organization(connection: psycopg.Connection, name: str) -> UUID:
    """Make the organization of that name, or find it if it is there."""
    check_name("An organization's name", name)
    made = connection.execute("INSERT INTO organization (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", (name,))
    organization_id = _first(connection.execute("SELECT id FROM organization WHERE name = %s", (name,)))
    if made.rowcount:
        note_operation(connection, "organization.create", organization_id, organization_id, name=name)
    return organization_id


def create_key(
    connection: psycopg.Connection,
    organization_id: UUID,
    name: str,
    scopes: Iterable[str] = DEFAULT_SCOPES,
    *,
    expires_at: datetime | None = None,
    user_id: UUID | None = None,
) -> NewKey:
    """Make a key; only its hash is stored.

    Raises:
        KeyringRefused: there is no such scope, or the organization has no such user.
    """
    wanted = _known_scopes(scopes)
    key = _insert_key(connection, organization_id, name, wanted, expires_at=expires_at, user_id=user_id)
    told = {"scopes": wanted, "expires_at": expires_at and expires_at.isoformat()}
    note_operation(connection, "api_key.create", key.id, organization_id, **told)
    return key


def replace_key(connection: psycopg.Connection, key_id: UUID, overlap: timedelta) -> NewKey:
    """Make another key in its place, for as long as it was made for; it is good for the time of the overlap yet.

    Raises:
        KeyringRefused: there is no such key in use.
    """
    old = connection.execute(_REPLACE, {"id": key_id, "overlap": overlap}).fetchone()
    if old is None:
        raise KeyringRefused(f"There is no key {key_id} in use; `gateway keys list` shows those there are.")
    organization_id, name, scopes, user_id, expires_at = old
    new = _insert_key(connection, organization_id, name, scopes, expires_at=expires_at, user_id=user_id)
    note_operation(connection, "api_key.rotate", key_id, organization_id, made=f"/v1/api-keys/{new.id}")
    return new


def revoke_key(connection: psycopg.Connection, key_id: UUID) -> bool:
    """Make a key useless, and end what it has open, within a second; false if there is no such key in use."""
    revoked = connection.execute(_REVOKE, (key_id,)).fetchone()
    if revoked is not None:
        note_operation(connection, "api_key.revoke", key_id, revoked[0])
    return revoked is not None


def check_name(what: str, name: str, longest: int = MAX_NAME_LENGTH) -> None:
    """Refuse what the column does.

    Raises:
        KeyringRefused: it is empty, too long, or not storable.
    """
    if not 1 <= len(name) <= longest or "\0" in name:
        raise KeyringRefused(f"{what} must have 1 to {longest} characters.")


def _insert_key(
    connection: psycopg.Connection,
    organization_id: UUID,
    name: str,
    scopes: list[str],
    *,
    expires_at: datetime | None,
    user_id: UUID | None,
) -> NewKey:
    check_name("A key's name", name)
    new = new_secret()
    try:
        key_id = _first(
            connection.execute(
                "INSERT INTO api_key (organization_id, name, prefix, secret_hash, scopes, expires_at, user_id)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
                (organization_id, name, new.prefix, new.hash, scopes, expires_at, user_id),
            )
        )
    except psycopg.errors.ForeignKeyViolation as error:
        raise KeyringRefused(f"The organization has no user {user_id}; `gateway users list` shows them.") from error
    return NewKey(id=key_id, secret=new.secret, prefix=new.prefix, organization_id=organization_id)


def _known_scopes(scopes: Iterable[str]) -> list[str]:
    wanted = list(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in tuple(Scope)]
    if unknown or not wanted:
        known = ", ".join(Scope)
        raise KeyringRefused(f"A key needs scopes, each one of {known}; {', '.join(unknown) or 'none was given'}.")
    return [str(scope) for scope in wanted]


def _first(cursor: psycopg.Cursor[Any]) -> UUID:
    row = cursor.fetchone()
    assert row is not None
    return UUID(str(row[0]))
