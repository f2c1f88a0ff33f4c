"""Plans: what an organization may use. Operators name them, and each organization has one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import from_json
from pydantic_settings import NoDecode

from gateway.quotas.buckets import Rate

DEFAULT = "default"


class Plan(BaseModel):
    """Limits of one organization. Those that are left out here are the server's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Of all keys together, in each gateway process: how many requests a second go on and on, and how many at once.
    requests_per_second: float = Field(default=2_000, gt=0)
    burst: int = Field(default=10_000, ge=1)
    #: The same of each key.
    key_requests_per_second: float | None = Field(default=None, gt=0)
    key_burst: int = Field(default=1_000, ge=1)
    #: Runs that have not ended, and tests of them that have no result yet.
    concurrent_runs: int = Field(default=1_000, ge=1)
    queued_tests: int = Field(default=5_000_000, ge=1)
    #: Tasks that have not ended, other than those of runs.
    queued_tasks: int = Field(default=100_000, ge=1)
    #: What the server's own limits may be lowered to.
    open_streams: int | None = Field(default=None, ge=1)
    max_body_bytes: int | None = Field(default=None, ge=1024)
    max_tests_per_set: int | None = Field(default=None, ge=1)

    @cached_property
    def rate(self) -> Rate:
        """Of the organization's requests."""
        return Rate(self.requests_per_second, self.burst)

    @cached_property
    def key_rate(self) -> Rate | None:
        """Of each key's requests, if they are limited."""
        return None if self.key_requests_per_second is None else Rate(self.key_requests_per_second, self.key_burst)


def _read(value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return from_json(value)
    except ValueError as error:
        raise ValueError(f"this is not JSON ({error})") from None


def _with_default(plans: Any) -> Any:
    return {DEFAULT: {}, **plans} if isinstance(plans, Mapping) else plans


PlanName: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]
#: By their names; in the environment as JSON. There is always one of the name `default`.
Plans: TypeAlias = Annotated[dict[PlanName, Plan], NoDecode, BeforeValidator(_with_default), BeforeValidator(_read)]
