"""Seals stored secrets anew with the newest key, and tells which key opens how many; for the role that sees all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg import sql

from workerapp.db.sealing import (
    MARK_BYTES,
    Place,
    Sealer,
    SealingUnavailable,
    endpoint_place,
    key_id_of,
    webhook_headers_place,
    webhook_secrets_place,
)

_NEXT = sql.SQL(
    "SELECT id, organization_id, {column} FROM {table} WHERE id > %(after)s"
    " AND substring({column} FROM 1 FOR %(length)s) <> %(mark)s ORDER BY id LIMIT %(most)s FOR NO KEY UPDATE"
)
_RESEAL = sql.SQL("UPDATE {table} SET {column} = %s WHERE id = %s")
_USES = sql.SQL(
    "SELECT substring({column} FROM 1 FOR %(length)s), count(*) FROM {table} WHERE {column} IS NOT NULL"
    " GROUP BY 1 ORDER BY 1"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedColumn:
    """A column that holds sealed secrets, and where each of them is."""

    table: str
    column: str
    place: Callable[[UUID, UUID], Place]

    def statement(self, form: sql.SQL) -> sql.Composed:
        """A statement about this column."""
        return form.format(table=sql.Identifier(self.table), column=sql.Identifier(self.column))


#: Every column that holds sealed secrets.
COLUMNS = (
    SealedColumn(table="endpoint", column="sealed_headers", place=endpoint_place),
    SealedColumn(table="webhook_endpoint", column="sealed_headers", place=webhook_headers_place),
    SealedColumn(table="webhook_endpoint", column="sealed_secrets", place=webhook_secrets_place),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """How many secrets were sealed anew, how many no key opens, and behind which row to go on; None at the end."""

    resealed: int
    unopened: int
    last: UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyUse:
    """How many secrets of a column a key has sealed, and where in the list the key is."""

    key_id: str
    listed: Literal["first", "later", "missing"]
    secrets: int
    column: str


def reseal(
    connection: psycopg.Connection[Any], column: SealedColumn, sealer: Sealer, *, after: UUID | None, most: int
) -> Batch:
    """Seal some secrets anew, in the open transaction: those behind `after` that another than the newest key sealed."""
    asked = {"after": after or UUID(int=0), "length": MARK_BYTES, "mark": sealer.mark, "most": most}
    rows = connection.execute(column.statement(_NEXT), asked).fetchall()
    resealed = 0
    for row_id, organization_id, sealed in rows:
        place = column.place(organization_id, row_id)
        try:
            anew = sealer.seal(sealer.open(bytes(sealed), place), place)
        except SealingUnavailable:
            continue
        connection.execute(column.statement(_RESEAL), (anew, row_id))
        resealed += 1
    last = rows[-1][0] if len(rows) == most else None
    return Batch(resealed=resealed, unopened=len(rows) - resealed, last=last)


def key_uses(connection: psycopg.Connection[Any], sealer: Sealer) -> list[KeyUse]:
    """Which keys have sealed what is stored."""
    return [
        KeyUse(
            key_id=key_id_of(bytes(mark)),
            listed=_listed(key_id_of(bytes(mark)), sealer),
            secrets=secrets,
            column=f"{column.table}.{column.column}",
        )
        for column in COLUMNS
        for mark, secrets in connection.execute(column.statement(_USES), {"length": MARK_BYTES}).fetchall()
    ]


def _listed(key_id: str, sealer: Sealer) -> Literal["first", "later", "missing"]:
    if key_id not in sealer.key_ids:
        return "missing"
    return "first" if key_id == sealer.key_ids[0] else "later"
