"""The order of a list, the place in it where the next page begins, and which fields of its items are answered.

A page begins behind the last item of the page before, by what that was sorted by and by its id, and not after so many
items: whatever is added meanwhile shifts nothing. What a list is sorted by never changes once it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field
from sqlalchemy import ColumnElement, Row, Select, tuple_
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Out, answer
from gateway.api.faults import invalid_parameter
from gateway.api.paging import PageQuery, page_of, read_cursor, read_query, split_words

MAX_SHOWN = 100

_Item = TypeVar("_Item", bound=Out)
_Query = TypeVar("_Query", bound="SortedQuery")

Sort: TypeAlias = Literal["created_at", "-created_at", "finished_at", "-finished_at"]
#: Names of fields, separated by commas.
_Names: TypeAlias = Annotated[list[str], BeforeValidator(split_words), Field(min_length=1)]


class SortedQuery(PageQuery):
    """In which order, and what of each item."""

    sort: Sort = "-created_at"
    fields: _Names | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorting:
    """By what a list can be sorted, and what tells items of the same instant apart."""

    created_at: ColumnElement[Any]
    finished_at: ColumnElement[Any]
    id: ColumnElement[Any]
    #: What a cursor holds of the last item: the order, when it was by that, and its id.
    cursor: Any

    def page(self, statement: Select[Any], query: SortedQuery, limit: int) -> Select[Any]:
        """The rows of one page, and one more, which tells that there is another page.

        Raises:
            ValidationFailed: the cursor is of another list, or of this one in another order.
        """
        name, descends = query.sort.removeprefix("-"), query.sort.startswith("-")
        by = self.finished_at if name == "finished_at" else self.created_at
        if by is self.finished_at:
            # What has not ended has no place in this order.
            statement = statement.where(by.is_not(None))
        behind = self._place(query)
        if behind is not None:
            here = tuple_(by, self.id)
            statement = statement.where(here < tuple_(*behind) if descends else here > tuple_(*behind))
        order = (by.desc(), self.id.desc()) if descends else (by, self.id)
        return statement.order_by(*order).limit(limit + 1)

    def _place(self, query: SortedQuery) -> tuple[Any, Any] | None:
        found = read_cursor(query, self.cursor)
        if found is None:
            return None
        sort, *place = found
        if sort != query.sort:
            raise invalid_parameter("cursor", f"This cursor continues a list with sort={sort}; send that with it.")
        return place[0], place[1]


def answer_page(
    query: SortedQuery, rows: Sequence[Row[Any]], limit: int, item: Callable[[Any], _Item], identity: str
) -> Response:
    """A page of `rows`, which were read with one row more than `limit`; items have those fields that are asked for.

    `identity` is the column, and the field, that tells which one it is; it is always answered.
    """
    key = query.sort.removeprefix("-")
    page = page_of(rows, limit, item, lambda row: (query.sort, getattr(row, key), getattr(row, identity)))
    if query.fields is None:
        return answer(page)
    chosen: dict[str, Any] = {"items": {"__all__": {identity, *query.fields}}, "next_cursor": True}
    return Response(page.model_dump_json(include=chosen), media_type="application/json")


def read_sorted(request: Request, model: type[_Query], item: type[Out]) -> _Query:
    """The query parameters, as `read_query`, of a list of such items.

    Raises:
        ValidationFailed: also for fields that the items do not have.
    """
    query = read_query(request, model)
    unknown = [name for name in query.fields or () if name not in item.model_fields]
    if unknown:
        there_are = ", ".join(item.model_fields)
        raise invalid_parameter("fields", f"There is no field {unknown[0][:MAX_SHOWN]!r}; there are {there_are}.")
    return query
