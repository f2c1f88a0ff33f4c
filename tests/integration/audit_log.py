"""What tests of the audit log share: the operations that write to it, and its entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.api.routing import Operation, Resource
from gateway.routes import routes
from tests.records import connect

Entry = dict[str, Any]


def changing_operations() -> Iterator[tuple[str, str, str]]:
    """Method, path and action of every operation that changes something."""
    for route in routes():
        if isinstance(route, Resource):
            for method, operation in route.operations.items():
                if isinstance(operation, Operation) and operation.action is not None:
                    yield method.upper(), route.path, operation.action


def entries(database_url: str) -> list[Entry]:
    """All entries of all organizations, in the order in which they were written."""
    with connect(database_url) as admin:
        return entries_of(admin)


def entries_of(admin: psycopg.Connection) -> list[Entry]:
    with admin.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM audit_event ORDER BY at, id").fetchall()
