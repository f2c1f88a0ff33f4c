"""How results and errors become JSON that Postgres can hold, and Python again."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from celery.backends.base import BaseBackend
from celery.exceptions import ImproperlyConfigured
from celery.utils.serialization import UnpickleableExceptionWrapper, ensure_serializable
from kombu.exceptions import EncodeError

from workerapp.state_row import storable_error

MAX_BYTES = 1024 * 1024


class ResultTooLarge(EncodeError):
    """The result has more bytes than `result_max_bytes` allows."""


class JsonResults(BaseBackend):  # type: ignore[misc]  # Celery has no types
    """Encodes with limits; an error is always told, if need be in part."""

    def __init__(self, app: Any, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(app, url=url, **kwargs)
        if self.content_type != "application/json":
            raise ImproperlyConfigured(
                f"The Postgres result backend stores results as JSON; result_serializer is {self.serializer!r}: "
                "set it to 'json'."
            )
        self._max_bytes = int(self.app.conf.get("result_max_bytes") or MAX_BYTES)

    def encoded(self, value: Any, *, failed: bool) -> str:
        """What `encode_result` has made, as JSON.

        Raises:
            ResultTooLarge: it is a result, and too large.
        """
        encoded = str(self.encode(value))
        if failed:
            fits = len(encoded) <= self._max_bytes
            return storable_error(encoded if fits else str(self.encode(_shortened(value, self._max_bytes))))
        if len(encoded) > self._max_bytes:
            raise ResultTooLarge(
                f"The result has {len(encoded)} bytes as JSON and may have {self._max_bytes} (result_max_bytes). "
                "Store it elsewhere and return a reference to it."
            )
        return encoded

    def prepare_exception(self, exc: BaseException, serializer: str | None = None) -> Any:
        """An error under its own name, even if it came in a wrapper because nobody else can make it again."""
        told = super().prepare_exception(exc, serializer)
        if isinstance(exc, UnpickleableExceptionWrapper):
            told |= {
                "exc_type": exc.exc_cls_name,
                "exc_module": exc.exc_module,
                "exc_message": ensure_serializable(exc.exc_args, self.encode),
            }
        return told

    def exception_to_python(self, exc: Any) -> Any:
        """The exception; one that cannot be made from what was stored comes in Celery's wrapper, with its name."""
        made = super().exception_to_python(exc)
        if type(made) is Exception and isinstance(exc, dict) and exc.get("exc_type") != "Exception":
            name, arguments = exc["exc_type"], exc.get("exc_message") or []
            return UnpickleableExceptionWrapper(exc.get("exc_module"), name, arguments, f"{name}: {arguments}")
        return made


@contextmanager
def storing() -> Iterator[None]:
    """Tell what Postgres cannot hold of a result as Celery's own error, which fails the task."""
    try:
        yield
    except (psycopg.DataError, psycopg.errors.UntranslatableCharacter) as error:
        reason = error.diag.message_detail or error.diag.message_primary or str(error)
        raise EncodeError(f"The result cannot be stored as JSON: {reason}") from error


def _shortened(error: Any, limit: int) -> Any:
    """An error whose arguments are too large: the beginning of what they say."""
    if not isinstance(error, dict):
        return str(error)[: limit // 8]
    return error | {"exc_message": [str(error.get("exc_message"))[: limit // 8]]}
