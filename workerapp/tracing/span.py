"""A span, one piece of work in a trace. Where nothing is recorded it only carries on the context that came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from workerapp.contract.trace_context import TraceContext

Attributes: TypeAlias = Mapping[str, str | int | float | bool]

NO_ATTRIBUTES: Attributes = MappingProxyType({})


class Kind(Enum):
    """On which side of which boundary the work is done."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span:
    """Nothing is recorded: what is told of the work is forgotten, and its parts are itself."""

    __slots__ = ("context",)

    #: Whether a part of this work is a span of its own.
    has_parts = False

    def __init__(self, context: TraceContext | None = None) -> None:
        #: Where in which trace it is; none if it is in no trace.
        self.context = context

    def child(self, kind: Kind, name: str, attributes: Attributes = NO_ATTRIBUTES) -> Span:
        """Begin a part of this work."""
        return self

    def rename(self, name: str) -> None:
        """What it is turned out later."""

    def tell(self, attributes: Attributes) -> None:
        """Add what is known of it now. Nothing of it may be a secret."""

    def fail(self, reason: str) -> None:
        """It did not work; the reason is a word, such as the name of an error."""

    def end(self) -> None:
        """It is done."""

    @property
    def message_headers(self) -> dict[str, str]:
        """What makes a message a part of this work, for whoever executes it."""
        return {} if self.context is None else self.context.headers()

    @property
    def request_headers(self) -> dict[str, str]:
        """What makes a request to others a part of it: nothing, for they would look for a span that nobody has."""
        return {}


#: The work that is done in this context.
current: ContextVar[Span] = ContextVar("current_span", default=Span())  # noqa: B039 - this one never changes


@contextmanager
def ending(span: Span) -> Iterator[Span]:
    """Let a span end with the block, and fail with its exception."""
    try:
        yield span
    except BaseException as error:
        span.fail(type(error).__name__)
        raise
    finally:
        span.end()


def part(kind: Kind, name: str, attributes: Attributes = NO_ATTRIBUTES) -> AbstractContextManager[Span]:
    """A part of the current work, as long as the block takes."""
    return ending(current.get().child(kind, name, attributes))
