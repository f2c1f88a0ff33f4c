"""How many results a run will have, as far as that can be told before a worker has planned it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from workerapp.contract.caller import Caller
from workerapp.contract.repetition import AnswersAgain, TestsAgain
from workerapp.contract.specs import RunOptions
from workerapp.contract.states import ResultStatus
from workerapp.db import tables
from workerapp.db.direct import DirectStatement

_test = tables.test.c
_result = tables.test_result.c
_configuration = tables.test_configuration.c
_COUNT = (
    select(func.count())
    .where(_test.test_set_id == _configuration.test_set_id, _test.organization_id == bindparam("organization_id"))
    .where(_test.archived_at.is_(None))
)
_SIZE = DirectStatement(
    select(_configuration.spec, _COUNT.scalar_subquery().label("tests")).where(
        _configuration.organization_id == bindparam("organization_id"),
        _configuration.id == bindparam("configuration_id"),
    )
)
_OPTIONS = frozenset(RunOptions.model_fields)


async def size_of_run(
    connection: AsyncConnection, caller: Caller, configuration_id: UUID, overrides: RunOptions | None = None
) -> int:
    """The tests of the configuration's set, as often as they are executed; with a sample by tags, as if all had one."""
    asked = {"organization_id": caller.organization_id, "configuration_id": configuration_id}
    row = await _SIZE.fetch_one(connection, asked)
    assert row is not None, "it was found in this transaction"
    changed = {} if overrides is None else overrides.model_dump(mode="json", exclude_unset=True)
    options = RunOptions.model_validate({k: v for k, v in (row["spec"] | changed).items() if k in _OPTIONS})
    most = row["tests"] if options.sample is None else options.sample.most or row["tests"]
    return int(min(row["tests"], most) * options.repeats)


async def size_of_repetition(connection: AsyncConnection, caller: Caller, repetition: TestsAgain | AnswersAgain) -> int:
    """The chosen results of the source."""
    chosen: Select[Any] = select(func.count()).where(
        _result.organization_id == caller.organization_id, _result.test_run_id == repetition.source_id
    )
    if isinstance(repetition, AnswersAgain):
        chosen = chosen.where(_result.status.not_in([ResultStatus.PENDING, ResultStatus.CANCELLED]))
    elif repetition.statuses is not None:
        chosen = chosen.where(_result.status.in_(repetition.statuses))
    return int((await connection.execute(chosen)).scalar_one())
