"""The ways to write a task: without the database, with a session given or of one's own, and telling its progress."""

from __future__ import annotations

from time import sleep
from typing import Any
from uuid import UUID

from celery import shared_task
from sqlalchemy import text
from sqlalchemy.orm import Session

from workerapp.base import BaseTask, PermanentError, with_tenant_context
from workerapp.contract import tasks

COUNT_TEST_SETS = text("SELECT count(*) FROM test_set WHERE archived_at IS NULL")
#: `count_slowly` occupies a worker, so it may count so far, and take so many seconds.
MOST_COUNTED, LONGEST_COUNT = 1000, 60
FIND_CONFIGURATION = text("SELECT id FROM test_configuration WHERE id = :id AND archived_at IS NULL")


@shared_task(base=BaseTask, bind=True, name=tasks.ECHO)
def echo(self: BaseTask, message: str) -> str:
    """Answer with the message and with whom it was sent for."""
    return f"Message: {message}, Organization: {self.organization_id}, User: {self.user_id or 'unknown'}"


@shared_task(base=BaseTask, bind=True, name=tasks.COUNT_TEST_SETS)
@with_tenant_context
def count_test_sets(self: BaseTask, db: Session) -> dict[str, Any]:
    """Count the organization's test sets."""
    count = db.execute(COUNT_TEST_SETS).scalar_one()
    return {"count": count, "organization_id": self.organization_id, "user_id": self.user_id}


@shared_task(base=BaseTask, bind=True, name=tasks.GET_TEST_CONFIGURATION)
@with_tenant_context
def get_test_configuration(self: BaseTask, test_configuration_id: str, db: Session) -> dict[str, Any]:
    """Tell whether the organization has this test configuration."""
    try:
        wanted = UUID(test_configuration_id)
    except ValueError as error:
        raise PermanentError(
            f"{test_configuration_id!r} is not the id of a test configuration: expected a UUID"
        ) from error
    found = db.execute(FIND_CONFIGURATION, {"id": wanted}).scalar_one_or_none()
    return {"found": found is not None, "id": None if found is None else str(found)}


@shared_task(base=BaseTask, bind=True, name=tasks.MANUAL_DB_EXAMPLE)
def manual_db_example(self: BaseTask) -> dict[str, Any]:
    """Open a session by hand; its transactions carry the tenant all the same."""
    with self.get_db_session() as db:
        return {"test_set_count": db.execute(COUNT_TEST_SETS).scalar_one()}


@shared_task(base=BaseTask, bind=True, name=tasks.COUNT_SLOWLY)
def count_slowly(self: BaseTask, to: int, pause: float = 1.0) -> int:
    """Count, with a pause of so many seconds before each number, and tell how far it is."""
    if not 0 <= to <= MOST_COUNTED or not 0 <= to * pause <= LONGEST_COUNT:
        limits = f"it may count to {MOST_COUNTED} and pause for {LONGEST_COUNT} seconds in all"
        raise PermanentError(f"cannot count to {to} with pauses of {pause:g} seconds: {limits}")
    for number in range(to):
        self.progress(number, to, f"counted to {number}")
        sleep(pause)
    self.progress(to, to, "counted")
    return to
