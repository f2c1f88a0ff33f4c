"""The base of every metric: its name, and how its score decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

MAX_WEIGHT = 1_000_000

MetricName: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]
NOT = AliasChoices("not_", "not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The named metric that a metric comes from, and its version; None if there is none that could be used."""

    metric_id: UUID
    version: int | None


class MetricBase(BaseModel):
    """What every metric has; one of weight 0 is reported and decides nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: MetricName | None = None
    not_: bool = Field(default=False, validation_alias=NOT)
    weight: float = Field(default=1.0, ge=0, le=MAX_WEIGHT)
    threshold: float | None = Field(default=None, ge=0, le=1, description="The score that passes; 1 when absent.")
    threshold_operator: Operator = Field(default=">=", description="How the score is held against the threshold.")

    #: No part of a definition: nobody can write it, and it is not stored.
    _origin: Origin | None = PrivateAttr(default=None)

    @property
    def origin(self) -> Origin | None:
        """Where it comes from, if it is a named metric."""
        return self._origin

    def coming_from(self, origin: Origin) -> Self:
        """The same metric, which tells where it comes from."""
        copy = self.model_copy()
        copy._origin = origin  # noqa: SLF001 - its own
        return copy

    @model_validator(mode="after")
    def _has_what_it_compares_with(self) -> Self:
        if self.threshold is None and "threshold_operator" in self.model_fields_set and self.threshold_operator != ">=":
            raise ValueError("threshold_operator needs a threshold")
        return self
