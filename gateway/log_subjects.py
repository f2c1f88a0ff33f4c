"""What a request's log lines are about: its tenant, and the task or the run that it names or has made."""

from __future__ import annotations

from pydantic import BaseModel
from starlette.requests import HTTPConnection

from workerapp.contract.caller import Caller
from workerapp.contract.logs import add_to_log_context

_SUBJECTS = ("task_id", "test_run_id", "run_group_id")


def tell_log_of(connection: HTTPConnection, caller: Caller) -> None:
    """Told who asks, and what for."""
    named = {name: connection.path_params.get(name) for name in _SUBJECTS}
    add_to_log_context(organization_id=str(caller.organization_id), user_id=_text(caller.user_id), **named)


def tell_log_of_made(body: BaseModel) -> None:
    """Told what one submission has made."""
    add_to_log_context(**{name: _text(getattr(body, name, None)) for name in _SUBJECTS})


def _text(value: object) -> str | None:
    return None if value is None else str(value)
