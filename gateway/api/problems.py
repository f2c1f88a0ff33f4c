"""`/problems/{code}`: what a problem's `type` leads to."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Links, Out, answer
from gateway.errors import TYPE_PREFIX, ApiError, NotFound


class ProblemKind(Out):
    """One kind of problem: what all answers with this code have in common."""

    code: str
    status: int
    title: str
    description: str
    links: Links


def problem_kinds() -> dict[str, type[ApiError]]:
    """Every kind of problem that is imported, by its code."""
    return {kind.code: kind for kind in _below(ApiError) if "code" in vars(kind)}


async def get_problem_kind(request: Request) -> Response:
    code = request.path_params["code"]
    kind = problem_kinds().get(code)
    if kind is None:
        raise NotFound(f'There is no problem with the code "{code[:100]}".')
    return answer(
        ProblemKind(
            code=code,
            status=kind.status,
            title=kind.title,
            description=kind.__doc__ or kind.title,
            links={"self": TYPE_PREFIX + code, "openapi": "/openapi.yaml"},
        )
    )


def _below(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)
