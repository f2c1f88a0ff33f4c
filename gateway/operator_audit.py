"""The audit log of operators who work on the database: what they do with commands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

_NOTE = "SELECT admin_note_audit(%s, %s, %s, %s, NULL, NULL, NULL, NULL, NULL)"


def note_operation(
    connection: psycopg.Connection[Any],
    action: str,
    resource_id: object,
    organization_id: UUID | None,
    **details: Any,
) -> None:
    """Add the entry in the open transaction; the organization is whose the resource is, none if it is nobody's."""
    named = None if resource_id is None else str(resource_id)
    connection.execute(_NOTE, (organization_id, action, named, Jsonb(details)))
