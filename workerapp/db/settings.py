"""The settings that every process shares: where the database is, and what opens its secrets and the outside world."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Self, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workerapp.contract.logs import LogFormat
from workerapp.contract.outbound import REFUSED_PORTS, OutboundPolicy
from workerapp.db.address import AddressInvalid, DatabaseAddress
from workerapp.db.sealing import Sealer
from workerapp.tracing.traces import NOT_INSTALLED, can_be_exported

PREFIX = "GATEWAY_"
#: Brokers that can take the place of the database, by the scheme of their URLs.
AMQP_SCHEMES = frozenset({"amqp", "amqps", "pyamqp"})
REDIS_SCHEMES = frozenset({"redis", "rediss", "redis+socket", "sentinel"})

_Settings = TypeVar("_Settings", bound="SharedSettings")


class SettingsInvalid(Exception):
    """The process cannot start with these settings; each sentence says what is wrong with one of them."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__("\n".join(self.sentences))


def split_words(value: Any) -> Any:
    """The words of a text in the environment; any other value as it is."""
    return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value


#: In the environment: separated by commas or white space.
Words: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_words)]
Ports: TypeAlias = Annotated[tuple[Annotated[int, Field(ge=0, le=65535)], ...], NoDecode, BeforeValidator(split_words)]


class SharedSettings(BaseSettings):
    """Read from the environment and `.env`; the environment wins."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    database_url: str = Field(validation_alias="DATABASE_URL", repr=False)
    broker_url: str = Field(default="", validation_alias="BROKER_URL", repr=False)
    result_backend_url: str = Field(default="", validation_alias="CELERY_RESULT_BACKEND", repr=False)
    #: Newest first; the others still open what they sealed.
    secret_keys: Words = Field(default=(), repr=False)
    #: Networks that are not public and may be called on a tenant's behalf, in CIDR notation.
    outbound_allow: str = ""
    #: Ports that are not called, wherever they are; 0, which no URL has, names none.
    outbound_refused_ports: Ports = REFUSED_PORTS
    #: Where callers reach the gateways, such as `https://gateway.example.com`; what is sent to others links to it.
    public_url: str = Field(default="", pattern=r"^(https?://[^\s?#]+)?$")
    default_queue: str = Field(default="celery", pattern=r"^[A-Za-z0-9_.-]{1,100}$")
    log_format: LogFormat = "text"
    #: Where traces are sent, over OTLP and HTTP, such as `http://collector:4318`; none: they are off.
    traces_endpoint: str = Field(default="", pattern=r"^(https?://[^\s?#@]+)?$")
    #: How many of the traces that begin here are recorded; those of callers are if the callers' are.
    traces_ratio: float = Field(default=1.0, ge=0, le=1)
    log_level: str = Field(default="INFO", pattern=r"(?i)^(debug|info|warning|error|critical)$")

    @cached_property
    def database(self) -> DatabaseAddress:
        """Where the database is."""
        return DatabaseAddress.parse(self.database_url)

    @property
    def broker_scheme(self) -> str:
        """What the broker's URL begins with."""
        return self.broker_url.partition("://")[0].lower()

    @property
    def broker_is_database(self) -> bool:
        """Whether the queue is in the database, and not in RabbitMQ or Redis."""
        return self.broker_scheme not in AMQP_SCHEMES | REDIS_SCHEMES

    @cached_property
    def outbound(self) -> OutboundPolicy:
        """What may be called on a tenant's behalf."""
        return OutboundPolicy.parse(self.outbound_allow, self.outbound_refused_ports)

    @cached_property
    def sealer(self) -> Sealer:
        """Seals and opens stored secrets."""
        return Sealer(self.secret_keys)

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: str) -> str:
        DatabaseAddress.parse(url)
        return url

    @field_validator("outbound_allow")
    @classmethod
    def _are_networks(cls, networks: str) -> str:
        OutboundPolicy.parse(networks)
        return networks

    @field_validator("traces_endpoint")
    @classmethod
    def _can_be_exported(cls, url: str) -> str:
        if url and not can_be_exported():
            raise ValueError(NOT_INSTALLED)
        return url

    @field_validator("secret_keys")
    @classmethod
    def _seal(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for number, key in enumerate(keys, start=1):
            try:
                Sealer((key,))
            except ValueError as error:
                raise ValueError(
                    f"key number {number} is not 32 bytes in url-safe base64; `gateway keys secret` prints a new key"
                ) from error
        return keys

    @model_validator(mode="before")
    @classmethod
    def _default_to_the_database(cls, values: Any) -> Any:
        url = values.get("DATABASE_URL") or values.get("database_url")
        for alias, name in (("BROKER_URL", "broker_url"), ("CELERY_RESULT_BACKEND", "result_backend_url")):
            if url and not values.get(alias) and not values.get(name):
                values = values | {alias: url}
        return values

    @model_validator(mode="after")
    def _name_one_database(self) -> Self:
        if self.broker_is_database:
            what = "the broker can be Postgres, RabbitMQ (amqp://) or Redis (redis://)"
            _check_same_database("BROKER_URL", what, self.broker_url, self.database)
        what = "only Postgres can be the result backend"
        _check_same_database("CELERY_RESULT_BACKEND", what, self.result_backend_url, self.database)
        return self


def _check_same_database(name: str, what: str, url: str, database: DatabaseAddress) -> None:
    if not DatabaseAddress.names_postgres(url):
        scheme = f"{url.partition('://')[0]}://" if "://" in url else "of no URL"
        raise ValueError(
            f"{name} has the form {scheme}; {what}. Leave {name} out, and the database of DATABASE_URL is used."
        )
    try:
        address = DatabaseAddress.parse(url)
    except AddressInvalid as error:
        raise ValueError(f"{name}: {error}") from error
    if not database.same_database(address):
        raise ValueError(
            f"{name} names another database ({address.redacted()}) than DATABASE_URL ({database.redacted()}). Tasks, "
            f"their messages and their results are written in one transaction: leave {name} out, or name the same one."
        )


def load_settings(kind: type[_Settings], **values: Any) -> _Settings:
    """Read the settings; `values` win over the environment.

    Raises:
        SettingsInvalid: with a sentence for each setting that is missing or wrong.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise SettingsInvalid(_sentence(kind, dict(item)) for item in error.errors(include_input=False)) from None


def _sentence(kind: type[SharedSettings], error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = _variable(kind, *error["loc"])
    if error["type"] == "missing" and len(error["loc"]) == 1:
        example = "postgresql://user:password@host:5432/database"
        return f"{name} is not set; give it in the environment or in .env, for example {name}={example}"
    if message.startswith("Input should"):
        return f"{name}{message.removeprefix('Input')}."
    return message if message.startswith(name) else f"{name}: {message}"


def _variable(kind: type[SharedSettings], location: str, *within: str | int) -> str:
    """The environment's name of a setting, and where in it, if it is JSON."""
    field = kind.model_fields.get(location)
    name = location if field is None else str(field.validation_alias or f"{PREFIX}{location.upper()}")
    return name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in within)
