"""Metrics whose verdict somebody else gives: a language model with a rubric, or a service of the tenant's own."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import Field, model_validator

from workerapp.contract.auth import CallableUrl
from workerapp.contract.metric import MetricBase
from workerapp.contract.spec import Spec

MAX_RUBRIC_LENGTH = 20_000
MAX_CHOICES = 100
MAX_ATTEMPTS = 10
MAX_NUMBER = 1_000_000

#: What a judge may be shown of a test.
Part: TypeAlias = Literal["input", "expected", "context", "metadata", "output"]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
ChoiceName: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class BinaryScale(Spec):
    """It passes or it does not."""

    type: Literal["binary"]


class NumericScale(Spec):
    """A number; the score is where it is between `min` (0) and `max` (1)."""

    type: Literal["numeric"]
    min: float = Field(default=0.0, ge=-MAX_NUMBER, le=MAX_NUMBER)
    max: float = Field(default=1.0, ge=-MAX_NUMBER, le=MAX_NUMBER)

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min must be less than max; they are {self.min:g} and {self.max:g}")
        return self


class CategoricalScale(Spec):
    """One of several names, each with its score."""

    type: Literal["categorical"]
    choices: Annotated[dict[ChoiceName, Share], Field(min_length=2, max_length=MAX_CHOICES)]


Scale: TypeAlias = Annotated[BinaryScale | NumericScale | CategoricalScale, Field(discriminator="type")]


class JudgeBase(MetricBase):
    """A judge: where it is, and how long and how often it is asked."""

    endpoint_id: UUID | None = Field(default=None, description="A stored endpoint, with its secrets and its limits.")
    url: CallableUrl | None = Field(default=None, description="An address that needs no secret.")
    timeout: float = Field(default=60.0, gt=0, le=3600, description="Seconds for an answer, with retries and waiting.")
    attempts: int = Field(default=2, ge=1, le=MAX_ATTEMPTS, description="How often it is asked for a usable verdict.")

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if (self.endpoint_id is None) == (self.url is None):
            raise ValueError("a judge has either endpoint_id or url")
        return self


class LlmJudge(JudgeBase):
    """A language model judges by a rubric, asked as the OpenAI chat interface has it."""

    type: Literal["llm_judge"]
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Goes with url; an endpoint has its own."
    )
    rubric: Annotated[str, Field(min_length=1, max_length=MAX_RUBRIC_LENGTH)]
    scale: Scale = Field(default_factory=lambda: BinaryScale(type="binary"))
    include: Annotated[tuple[Part, ...], Field(min_length=1, max_length=5)] = Field(
        default=("input", "expected", "output"), description="What the judge is shown."
    )

    @model_validator(mode="after")
    def _names_a_model_with_its_url(self) -> Self:
        if (self.url is None) != (self.model is None):
            raise ValueError("url and model go together; an endpoint names its model itself")
        return self

    @model_validator(mode="after")
    def _shows_the_output(self) -> Self:
        if "output" not in self.include:
            raise ValueError("include must have output: a judge has to see what it judges")
        return self


class WebhookJudge(JudgeBase):
    """A service of the tenant's judges: it is sent test and answer as JSON, and answers a score or a verdict."""

    type: Literal["webhook"]


Judge: TypeAlias = LlmJudge | WebhookJudge
