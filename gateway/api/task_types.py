"""`/v1/task-types`: the tasks that may be submitted, and what they take; they are the same for every organization."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Links, Out, answer
from gateway.api.paging import Named, PageQuery, not_found, page_limit, page_of, path_text, read_cursor, read_query
from gateway.services import services_of
from gateway.submission.task_types import KnownType
from workerapp.contract.caller import Caller

WHAT = "task type"


class TaskType(Out):
    """A task as it is answered."""

    name: str
    description: str | None
    queue: str
    arguments: dict[str, Any]
    links: Links


async def list_task_types(request: Request, _: Caller) -> Response:
    services = services_of(request)
    query = read_query(request, PageQuery)
    limit, after = page_limit(query, services.settings), read_cursor(query, Named)
    types = [each for each in await services.task_types.all() if after is None or each.type.name > after]
    return answer(page_of(types[: limit + 1], limit, _task_type, lambda each: each.type.name))


async def get_task_type(request: Request, _: Caller) -> Response:
    name = path_text(request, "task_type", WHAT)
    known = await services_of(request).task_types.find(name)
    if known is None:
        raise not_found(WHAT, name)
    return answer(_task_type(known))


def _task_type(known: KnownType) -> TaskType:
    told = known.type
    links = {"self": f"/v1/task-types/{quote(told.name, safe='')}", "submit": "/v1/tasks"}
    return TaskType(
        name=told.name, description=told.description, queue=known.queue, arguments=told.arguments, links=links
    )
