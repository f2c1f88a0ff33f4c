"""Tries one input against an endpoint."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import uvloop
from celery import shared_task

from workerapp.base import BaseTask, PermanentError
from workerapp.contract import tasks
from workerapp.db.statements import clause
from workerapp.execution.credentials import TokenCache
from workerapp.execution.invocation import invoke
from workerapp.execution.sealed_endpoint import SealedEndpoint

_TOKENS: TokenCache = {}


@shared_task(base=BaseTask, bind=True, name=tasks.INVOKE_ENDPOINT)
def invoke_endpoint(self: BaseTask, endpoint_id: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Ask once; no transaction is open while the endpoint takes its time."""
    with self.get_db_session() as db:
        endpoint = db.execute(clause("endpoints", "to_invoke"), {"id": UUID(endpoint_id)}).mappings().one_or_none()
    if endpoint is None:
        raise PermanentError("The endpoint does not exist, or is archived.")
    sealed = SealedEndpoint(**endpoint)
    result = uvloop.run(invoke(sealed, asked, self.settings, _TOKENS))
    return result.model_dump(mode="json")
