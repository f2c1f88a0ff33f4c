"""How an answer is judged: the definition of every metric, told apart by its `type`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from workerapp.contract.json_schemas import check_schema
from workerapp.contract.judges import LlmJudge, WebhookJudge
from workerapp.contract.mapping import OUTPUT, compile_path
from workerapp.contract.metric import MAX_WEIGHT, NOT, MetricBase, MetricName, Operator
from workerapp.contract.patterns import compile_pattern
from workerapp.contract.spec import Spec

MAX_TEXT_LENGTH = 100_000
MAX_VALUES = 1_000
MAX_CODES = 100

Text: TypeAlias = Annotated[str, Field(max_length=MAX_TEXT_LENGTH)]
Status: TypeAlias = Annotated[int, Field(ge=100, le=599)]
Values: TypeAlias = Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_VALUES)]


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


class Category(MetricBase):
    """The output, or what the pattern finds in it, is one of the categories, and one of those that pass."""

    type: Literal["category"]
    categories: Values
    passing: Values | None = Field(default=None, description="The expected value when absent.")
    pattern: Annotated[str, Field(min_length=1)] | None = None
    ignore_case: bool = False

    @model_validator(mode="after")
    def _passes_with_categories(self) -> Self:
        strangers = [name for name in self.passing or () if name not in self.categories]
        if strangers:
            raise ValueError(f"{strangers[0][:200]!r} is in passing and is not one of the categories")
        if self.pattern is not None:
            compile_pattern(self.pattern)
        return self


class IsJson(MetricBase):
    """The output is JSON: a text that is read as JSON, or a value that was JSON in the response."""

    type: Literal["is_json"]


class JsonSchema(MetricBase):
    """The output is JSON that fits a JSON Schema of draft 2020-12."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")

    @field_validator("schema_")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        check_schema(schema)
        return schema


class JsonPath(MetricBase):
    """What is at a path in the output, or in another mapped field, compares with the value as the operator says."""

    type: Literal["jsonpath"]
    field: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default=OUTPUT, description="Of the response mapping; a text is read as JSON."
    )
    path: Annotated[str, Field(min_length=1)]
    operator: Operator | Literal["exists"] = "="
    value: JsonValue = None

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str) -> str:
        compile_path(path)
        return path


class Levenshtein(MetricBase):
    """How like the expected text the output is: 1 less the edits between them, as a share of the longer text."""

    type: Literal["levenshtein"]
    value: Text | None = None
    max_distance: int | None = Field(default=None, ge=0, description="So many edits pass; the score is then 1 or 0.")


class RougeL(MetricBase):
    """ROUGE-L: the F-measure of the longest common subsequence of words."""

    type: Literal["rouge_l"]
    value: Text | None = None


class F1(MetricBase):
    """The F1 of the words that output and expected value share, as SQuAD counts them."""

    type: Literal["f1"]
    value: Text | None = None


class Latency(MetricBase):
    """The request that was answered took no longer."""

    type: Literal["latency"]
    max_ms: float = Field(gt=0, le=3_600_000, description="Milliseconds, of the last request alone.")


class HttpStatus(MetricBase):
    """The endpoint answered with one of the status codes."""

    type: Literal["http_status"]
    codes: Annotated[tuple[Status, ...], Field(min_length=1, max_length=MAX_CODES)]


class NamedMetric(Spec):
    """A metric of the organization, by its id; what is given here takes the place of what its definition says."""

    type: Literal["metric"]
    metric_id: UUID
    name: MetricName | None = None
    not_: bool | None = Field(default=None, validation_alias=NOT)
    weight: float | None = Field(default=None, ge=0, le=MAX_WEIGHT)
    threshold: float | None = Field(default=None, ge=0, le=1)
    threshold_operator: Operator | None = None

    def changes(self) -> dict[str, Any]:
        """What takes the place of the definition's own."""
        return self.model_dump(exclude={"type", "metric_id"}, exclude_none=True)


_Kinds: TypeAlias = (
    Equals
    | IEquals
    | Contains
    | ContainsAny
    | ContainsAll
    | StartsWith
    | Regex
    | Extract
    | Category
    | IsJson
    | JsonSchema
    | JsonPath
    | Levenshtein
    | RougeL
    | F1
    | Latency
    | HttpStatus
    | LlmJudge
    | WebhookJudge
)

#: What judges by itself: also what a named metric may be, so none leads to another.
Definition: TypeAlias = Annotated[_Kinds, Field(discriminator="type")]
#: What a test or a configuration may have.
Metric: TypeAlias = Annotated[_Kinds | NamedMetric, Field(discriminator="type")]
