"""The check before a worker begins: it must work as a role that row-level security binds, on a migrated database."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg
from celery import bootsteps

from workerapp.db.connection import ROLE, connect

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

WHO_AM_I = """
    SELECT current_user, rolsuper OR rolbypassrls, to_regclass('gateway.task') IS NULL
    FROM pg_roles WHERE rolname = current_user
"""


class ServingRefused(Exception):
    """This worker must not begin; the message says what to change."""


class ServingCheck(bootsteps.StartStopStep):  # type: ignore[misc]
    """Runs before anything is fetched; a database that is down is waited for by the consumer and not judged here."""

    def start(self, worker: Any) -> None:
        try:
            check_serving(worker.app)
        except ServingRefused as error:
            logger.critical("worker_refused", extra={"reason": str(error)})
            raise SystemExit(1) from error


def check_serving(app: WorkerApp) -> None:
    """Check whom this worker would work as.

    Raises:
        ServingRefused: the role sees every tenant's rows, or the database has no schema.
    """
    address = app.settings.database
    try:
        with connect(address, application_name="worker-check") as connection:
            row = connection.execute(WHO_AM_I).fetchone()
    except psycopg.errors.InvalidParameterValue as error:
        raise ServingRefused(
            f"The database {address.redacted()} has no role {ROLE}, or its user may not use it; run `gateway migrate`."
        ) from error
    except psycopg.OperationalError as error:
        logger.warning("database_unreachable", extra={"database": address.redacted(), "reason": str(error).strip()})
        return
    assert row is not None
    role, sees_everything, is_empty = row
    if sees_everything:
        raise ServingRefused(
            f"The worker would work as the database role {role!r}, which row-level security does not bind. Make sure "
            f"that connections act as {ROLE} (a pooler may drop start-up parameters)."
        )
    if is_empty:
        raise ServingRefused(f"The database {address.redacted()} has no tables yet; run `gateway migrate`.")
