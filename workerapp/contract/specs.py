"""What a tenant defines: the endpoint under test, the tests, and how they are run and judged."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from workerapp.contract.mapping import compile_mapping
from workerapp.contract.metrics import Metric
from workerapp.contract.outbound import OutboundPolicy
from workerapp.contract.template import compile_request

MEBIBYTE = 1_048_576
MAX_INPUT_LENGTH = 1_000_000
MAX_HEADERS = 50

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8000}")
#: Set by the client itself; another value could smuggle a request or reach another virtual host.
_OWN_HEADERS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "accept-encoding", "content-encoding", "cookie2"}
)
#: Everything public may be called as far as a specification goes; a policy decides about the rest when it is asked.
_SHAPE_ONLY = OutboundPolicy.parse("0.0.0.0/0,::/0")

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class Spec(BaseModel):
    """Frozen, and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EndpointSpec(Spec):
    """An application under test: where it is, what is sent to it, and where its answer is in the response."""

    name: Name
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict, repr=False, max_length=MAX_HEADERS)
    request: JsonValue = None
    response: dict[str, str] = Field(default_factory=lambda: {"output": "$.output"})
    connect_timeout: float = Field(default=5.0, gt=0, le=60)
    timeout: float = Field(default=30.0, gt=0, le=3600, description="Seconds for one request, from start to end.")
    max_attempts: int = Field(default=3, ge=1, le=10)
    max_concurrency: int | None = Field(default=None, ge=1, le=1000)
    requests_per_second: float | None = Field(default=None, gt=0, le=100_000)
    max_response_bytes: int = Field(default=MEBIBYTE, ge=1, le=64 * MEBIBYTE)

    @field_validator("url")
    @classmethod
    def _is_callable_url(cls, url: str) -> str:
        _SHAPE_ONLY.check_url(url)
        return url

    @field_validator("headers")
    @classmethod
    def _are_sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            _check_header(name, value)
        return headers

    @field_validator("request")
    @classmethod
    def _compiles(cls, request: JsonValue) -> JsonValue:
        compile_request(request)
        return request

    @field_validator("response")
    @classmethod
    def _maps(cls, response: dict[str, str]) -> dict[str, str]:
        compile_mapping(response)
        return response

    @model_validator(mode="after")
    def _query_is_an_object(self) -> Self:
        if self.method == "GET" and not isinstance(self.request, dict | None):
            raise ValueError("the request of a GET endpoint is its query string: it must be an object")
        return self


def _check_header(name: str, value: str) -> None:
    # A value may be a secret and is never repeated.
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if name.lower() in _OWN_HEADERS:
        raise ValueError(f"the header {name!r} is set by the client and cannot be chosen")
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError(f"the value of header {name!r} is too long or has a character that a header cannot hold")


class Message(Spec):
    """One message of a conversation, as chat APIs take it."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=MAX_INPUT_LENGTH)] | list[dict[str, JsonValue]]


class TestSpec(Spec):
    """One test: what is asked, what is expected, and metrics of its own besides those of the configuration."""

    __test__ = False  # It is not a test case, whatever pytest makes of its name.

    input: (
        Annotated[str, Field(max_length=MAX_INPUT_LENGTH)]
        | Annotated[list[Message], Field(min_length=1, max_length=1000)]
    )
    expected: JsonValue = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    assertions: Annotated[list[Metric], Field(max_length=100)] = Field(default_factory=list)


class ConfigurationSpec(Spec):
    """How the tests of a set are run against an endpoint, and how their answers are judged."""

    mode: Literal["parallel", "sequential"] = "parallel"
    concurrency: int = Field(default=10, ge=1, le=1000)
    per_test_timeout: float = Field(default=30.0, gt=0, le=3600, description="Seconds for a test with all its retries.")
    metrics: Annotated[list[Metric], Field(max_length=100)] = Field(default_factory=list)
    pass_threshold: float | None = Field(
        default=None, ge=0, le=1, description="The weighted score that passes a test, whichever of its metrics fail."
    )
