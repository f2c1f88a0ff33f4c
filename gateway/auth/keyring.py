"""Makes organizations and API keys; for operators, with a login that owns the database (or is superuser)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from gateway.auth.keys import TENANT_SCOPES, Scope, new_secret
from workerapp.db.address import DatabaseAddress

#: Row-level security is forced, so it binds the owner too; this role's policies let it see every organization.
ROLE = "definer"


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
    if not 1 <= len(name) <= 200 or "\0" in name:  # noqa: PLR2004 - the column's own limit
        raise KeyringRefused("An organization's name must have 1 to 200 characters.")
    connection.execute("INSERT INTO organization (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", (name,))
    return _first(connection.execute("SELECT id FROM organization WHERE name = %s", (name,)))


def create_key(
    connection: psycopg.Connection,
    organization_id: UUID,
    name: str,
    scopes: Iterable[str] = TENANT_SCOPES,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key; only its hash is stored."""
    wanted = _known_scopes(scopes)
    new = new_secret()
    key_id = _first(
        connection.execute(
            "INSERT INTO api_key (organization_id, name, prefix, secret_hash, scopes, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
            (organization_id, name, new.prefix, new.hash, wanted, expires_at),
        )
    )
    return NewKey(id=key_id, secret=new.secret, prefix=new.prefix, organization_id=organization_id)


def revoke_key(connection: psycopg.Connection, key_id: UUID) -> bool:
    """Make a key useless, within the seconds that gateways remember it; false if there is no such key in use."""
    cursor = connection.execute("UPDATE api_key SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL", (key_id,))
    return cursor.rowcount == 1


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
