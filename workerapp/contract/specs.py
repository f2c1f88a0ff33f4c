"""What a tenant defines: the endpoint under test, the tests, and how they are run and judged."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, JsonValue, field_validator, model_validator

from workerapp.contract.auth import Auth
from workerapp.contract.headers import MAX_HEADERS, check_distinct, check_name, check_value
from workerapp.contract.mapping import compile_mapping
from workerapp.contract.metrics import Metric
from workerapp.contract.outbound import OutboundPolicy
from workerapp.contract.presets import Preset, fill_in_preset
from workerapp.contract.spec import Spec
from workerapp.contract.template import compile_request

MEBIBYTE = 1_048_576
MAX_INPUT_LENGTH = 1_000_000
MAX_TURNS = 50
MAX_QUERY = 100
MAX_SYSTEM_LENGTH = 100_000
MAX_REPEATS = 100
MAX_FAILURES = 1_000_000
MAX_SAMPLE = 1_000_000
SEED_BITS = 32

#: Everything public may be called as far as a specification goes; a policy decides about the rest when it is asked.
_SHAPE_ONLY = OutboundPolicy.parse("0.0.0.0/0,::/0")

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class EndpointSpec(Spec):
    """An application under test: where it is, what is sent to it, and where its answer is in the response."""

    name: Name
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict, repr=False, max_length=MAX_HEADERS)
    auth: Auth | None = None
    #: Templates, and no secrets: they are answered as they are.
    templated_headers: dict[str, str] = Field(default_factory=dict, max_length=MAX_HEADERS)
    query: dict[str, JsonValue] = Field(default_factory=dict, max_length=MAX_QUERY)
    request: JsonValue = None
    #: With `openai_chat`: the model's name.
    preset: Preset | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    #: Put in front of the messages of a test that has no system message of its own.
    system: Annotated[str, Field(min_length=1, max_length=MAX_SYSTEM_LENGTH)] | None = None
    #: The response is a stream of server-sent events; each has a piece of the output.
    stream: bool = False
    #: A path for each field; or the whole body is the output, as it is.
    response: Literal["text"] | dict[str, str] = Field(default_factory=lambda: {"output": "$.output"})
    connect_timeout: float = Field(default=5.0, gt=0, le=60)
    #: Until the response begins; of a stream, until its first piece of the output.
    first_byte_timeout: float | None = Field(default=None, gt=0, le=3600)
    timeout: float = Field(default=30.0, gt=0, le=3600, description="Seconds for one request, from start to end.")
    max_attempts: int = Field(default=3, ge=1, le=10)
    max_concurrency: int | None = Field(default=None, ge=1, le=1000)
    requests_per_second: float | None = Field(default=None, gt=0, le=100_000)
    max_response_bytes: int = Field(default=MEBIBYTE, ge=1, le=64 * MEBIBYTE)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        return fill_in_preset(given) if isinstance(given, dict) else given

    @field_validator("url")
    @classmethod
    def _is_callable_url(cls, url: str) -> str:
        _SHAPE_ONLY.check_url(url)
        return url

    @field_validator("headers")
    @classmethod
    def _are_sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            check_name(name)
            check_value(name, value)
        return headers

    @field_validator("templated_headers")
    @classmethod
    def _are_named(cls, headers: dict[str, str]) -> dict[str, str]:
        for name in headers:
            check_name(name)
        return headers

    @field_validator("request", "query", "templated_headers")
    @classmethod
    def _compiles(cls, template: JsonValue) -> JsonValue:
        compile_request(template)
        return template

    @field_validator("response")
    @classmethod
    def _maps(cls, response: Literal["text"] | dict[str, str]) -> Literal["text"] | dict[str, str]:
        if isinstance(response, dict):
            compile_mapping(response)
        return response

    @model_validator(mode="after")
    def _query_is_an_object(self) -> Self:
        if self.method == "GET" and not isinstance(self.request, dict | None):
            raise ValueError("the request of a GET endpoint is its query string: it must be an object")
        return self

    @model_validator(mode="after")
    def _names_a_model_for_its_preset(self) -> Self:
        if (self.preset is None) != (self.model is None):
            raise ValueError(
                "preset and model go together: the preset openai_chat needs a model, and nothing else has one"
            )
        return self

    @model_validator(mode="after")
    def _sets_each_header_once(self) -> Self:
        check_distinct(self.headers, self.templated_headers, () if self.auth is None else (self.auth.header,))
        return self


#: Short, and without what separates tags in a table's cell.
Tag: TypeAlias = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\s,]([^,\x00-\x1f\x7f]*[^\s,])?$")]


class Message(Spec):
    """One message of a conversation, as chat APIs take it."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=MAX_INPUT_LENGTH)] | list[dict[str, JsonValue]]


#: What is asked: a text, or the messages of a conversation.
Input: TypeAlias = (
    Annotated[str, Field(max_length=MAX_INPUT_LENGTH)] | Annotated[list[Message], Field(min_length=1, max_length=1000)]
)


class Turn(Spec):
    """One turn of a test that has several: what is asked then, and how the answer to it is judged."""

    input: Input
    expected: JsonValue = None
    assertions: Annotated[list[Metric], Field(max_length=100)] = Field(default_factory=list)


class TestSpec(Spec):
    """One test: what is asked, what is expected, and metrics of its own besides those of the configuration.

    What is asked is one `input`, or `turns` one after another.
    """

    __test__ = False  # It is not a test case, whatever pytest makes of its name.

    input: Input | None = None
    turns: Annotated[list[Turn], Field(min_length=1, max_length=MAX_TURNS)] | None = None
    expected: JsonValue = None
    tags: Annotated[list[Tag], Field(max_length=20)] = Field(default_factory=list)
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    assertions: Annotated[list[Metric], Field(max_length=100)] = Field(default_factory=list)

    @field_validator("tags")
    @classmethod
    def _once_each(cls, tags: list[str]) -> list[str]:
        return list(dict.fromkeys(tags))

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.input is None) == (self.turns is None):
            raise ValueError("a test has either an input, or turns that are asked one after another")
        return self


class Sample(Spec):
    """Some of a set's tests: those that have any of the tags, and of these the first or some at random."""

    first: int | None = Field(default=None, ge=1, le=MAX_SAMPLE)
    random: int | None = Field(default=None, ge=1, le=MAX_SAMPLE)
    #: The same seed chooses the same tests; without one each run draws its own.
    seed: int | None = Field(default=None, ge=0, le=2**SEED_BITS - 1)
    tags: Annotated[list[Tag], Field(min_length=1, max_length=20)] | None = None

    @model_validator(mode="after")
    def _chooses_in_one_way(self) -> Self:
        if self.first is not None and self.random is not None:
            raise ValueError("give first or random, not both: the first tests of the set, or some of them at random")
        if self.first is None and self.random is None and self.tags is None:
            raise ValueError("say which tests: first or random with a number of tests, tags, or one of both with tags")
        if self.seed is not None and self.random is None:
            raise ValueError("a seed goes with random, which says how many tests are chosen at random")
        return self

    @property
    def most(self) -> int | None:
        """How many tests there may be."""
        return self.first or self.random


class RunOptions(Spec):
    """What a single run may have otherwise than its configuration."""

    mode: Literal["parallel", "sequential"] = "parallel"
    concurrency: int = Field(default=10, ge=1, le=1000)
    repeats: int = Field(default=1, ge=1, le=MAX_REPEATS, description="How often each test is executed.")
    sample: Sample | None = None
    max_failures: int | None = Field(
        default=None, ge=1, le=MAX_FAILURES, description="So many tests that failed or ended with an error end the run."
    )


class ConfigurationSpec(RunOptions):
    """How the tests of a set are run against an endpoint, and how their answers are judged."""

    per_test_timeout: float = Field(default=30.0, gt=0, le=3600, description="Seconds for a test with all its retries.")
    metrics: Annotated[list[Metric], Field(max_length=100)] = Field(default_factory=list)
    pass_threshold: float | None = Field(
        default=None, ge=0, le=1, description="The weighted score that passes a test, whichever of its metrics fail."
    )
