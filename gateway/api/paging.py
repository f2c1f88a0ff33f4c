"""Query parameters, and pages of a list by cursor."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar, get_origin
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import Request

from gateway.api.answers import In, Out, Page
from gateway.api.faults import invalid_parameter, invalid_parameters
from gateway.errors import NotFound
from gateway.settings import GatewaySettings

_Query = TypeVar("_Query", bound=In)
_Item = TypeVar("_Item", bound=Out)

MAX_ID_LENGTH = 255

#: A cursor of a list that is ordered by position.
Position: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1)]
#: A cursor of a list that is ordered by names.
Named: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class LimitQuery(In):
    """How many items at once."""

    limit: Annotated[int, Field(ge=1)] | None = None


class PageQuery(LimitQuery):
    """Which page of a list."""

    cursor: Annotated[str, Field(min_length=1, max_length=500)] | None = None


def read_query(request: Request, model: type[_Query]) -> _Query:
    """The query parameters as `model`; those that it has as tuples may be given several times.

    Raises:
        ValidationFailed: one is unknown, given twice, has another form, or a NUL character, which the database refuses.
    """
    return read_parameters(request.query_params, model)


def read_parameters(parameters: QueryParams, model: type[_Query]) -> _Query:
    """As `read_query`, from parameters that stand elsewhere than in the request's URL."""
    given: dict[str, Any] = {}
    for name, value in parameters.multi_items():
        if "\0" in value:
            raise invalid_parameter(name, "The text has a NUL character, which no value has.")
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is tuple:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise invalid_parameter(name, "This parameter is given more than once.")
        else:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid_parameters(error) from None


def split_words(value: Any) -> Any:
    """A parameter's words, which commas separate: a validator for fields that take several."""
    return value.split(",") if isinstance(value, str) else value


def page_limit(query: LimitQuery, settings: GatewaySettings) -> int:
    """How many items the page may have.

    Raises:
        ValidationFailed: more than the server allows.
    """
    if query.limit is None:
        return min(settings.page_size, settings.max_page_size)
    if query.limit > settings.max_page_size:
        raise invalid_parameter(
            "limit", f"The value is too large; at most {settings.max_page_size} are answered at once."
        )
    return query.limit


def page_of(rows: Sequence[Any], limit: int, item: Callable[[Any], _Item], key: Callable[[Any], Any]) -> Page[_Item]:
    """A page of `rows`, which were read with one row more than `limit`; `key` is what the next page starts behind."""
    items = [item(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page[Any](items=items, next_cursor=_encode(key(rows[limit - 1])) if more else None)


def read_cursor(query: PageQuery, kind: Any) -> Any:
    """The key behind which the page starts, of the type `kind`; none for the first page.

    Raises:
        ValidationFailed: we never gave such a cursor.
    """
    if query.cursor is None:
        return None
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        return TypeAdapter(kind).validate_json(base64.b64decode(padded, altchars=b"-_", validate=True), strict=True)
    except (binascii.Error, ValueError):
        raise invalid_parameter(
            "cursor", "This is not a cursor of this list; send the next_cursor of a page."
        ) from None


def _encode(key: Any) -> str:
    text = json.dumps(key, default=str, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def path_uuid(request: Request, name: str, what: str) -> UUID:
    """An id in the path; one that is no UUID names nothing, like one that is nobody's."""
    return read_uuid(request.path_params[name], what)


def path_text(request: Request, name: str, what: str) -> str:
    """An id in the path that need not be a UUID."""
    return read_id(request.path_params[name], what)


def read_uuid(text: str, what: str) -> UUID:
    """As `path_uuid`, of an id that stands elsewhere."""
    try:
        return UUID(text)
    except ValueError:
        raise not_found(what, text) from None


def read_id(text: str, what: str) -> str:
    """As `path_text`, of an id that stands elsewhere."""
    if len(text) > MAX_ID_LENGTH or "\0" in text:
        raise not_found(what, text)
    return text


def not_found(what: str, given: object) -> NotFound:
    """The same answer whether it does not exist or is another organization's."""
    return NotFound(f'There is no {what} with the id "{str(given)[:MAX_ID_LENGTH]}".')
