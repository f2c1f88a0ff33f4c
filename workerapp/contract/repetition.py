"""What a run is to repeat of another one: its tests, or the judging of its answers."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import Field, TypeAdapter

from workerapp.contract.metrics import Metric
from workerapp.contract.spec import Spec
from workerapp.contract.states import ResultStatus


class TestsAgain(Spec):
    """The source's tests are executed again: all of them, or those that ended with one of the statuses."""

    __test__ = False

    kind: Literal["tests"] = "tests"
    source_id: UUID
    statuses: list[ResultStatus] | None = None


class AnswersAgain(Spec):
    """The source's answers are judged again, by other metrics than the configuration's if there are some."""

    kind: Literal["answers"] = "answers"
    source_id: UUID
    metrics: list[Metric] | None = None


Repetition: TypeAlias = Annotated[TestsAgain | AnswersAgain, Field(discriminator="kind")]

#: Reads one out of the arguments of a task.
REPETITION: TypeAdapter[Repetition] = TypeAdapter(Repetition)
