"""How an answer is judged: the definition of every metric, told apart by its `type`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, field_validator

from workerapp.contract.patterns import compile_pattern

MAX_TEXT_LENGTH = 100_000
MAX_VALUES = 1_000

Text: TypeAlias = Annotated[str, Field(max_length=MAX_TEXT_LENGTH)]
Values: TypeAlias = Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_VALUES)]


class MetricBase(BaseModel):
    """What every metric has; one of weight 0 is reported and decides nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    not_: bool = Field(default=False, validation_alias=AliasChoices("not_", "not"))
    weight: float = Field(default=1.0, ge=0, le=1_000_000)
    threshold: float | None = Field(default=None, ge=0, le=1, description="The score that passes; 1 when absent.")


class Equals(MetricBase):
    """The output is exactly the expected value."""

    type: Literal["equals"]
    value: JsonValue = None


class IEquals(MetricBase):
    """The output is the expected value, whatever the case and the white space around it."""

    type: Literal["iequals"]
    value: JsonValue = None


class Contains(MetricBase):
    """The expected text is somewhere in the output."""

    type: Literal["contains"]
    value: Text | None = None
    ignore_case: bool = False


class ContainsAny(MetricBase):
    """One of the values is in the output."""

    type: Literal["contains_any"]
    values: Values | None = None
    ignore_case: bool = False


class ContainsAll(MetricBase):
    """Every value is in the output; the score is the share that is."""

    type: Literal["contains_all"]
    values: Values | None = None
    ignore_case: bool = False


class StartsWith(MetricBase):
    """The output begins with the expected text."""

    type: Literal["starts_with"]
    value: Text | None = None
    ignore_case: bool = False


class _Patterned(MetricBase):
    pattern: str = Field(min_length=1)
    ignore_case: bool = False

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        compile_pattern(pattern)
        return pattern


class Regex(_Patterned):
    """The pattern is found somewhere in the output."""

    type: Literal["regex"]


class Extract(_Patterned):
    """What the pattern finds first (its first group, if it has one) equals the expected value."""

    type: Literal["extract"]
    drop: Annotated[str, Field(max_length=100)] = Field(
        default="", description="Characters to leave out on both sides."
    )
    compare: Literal["text", "number"] = "text"
    tolerance: float = Field(default=0.0, ge=0, description="How far a number may be from the expected one.")
    value: Text | float | None = None


Metric: TypeAlias = Annotated[
    Equals | IEquals | Contains | ContainsAny | ContainsAll | StartsWith | Regex | Extract, Field(discriminator="type")
]
