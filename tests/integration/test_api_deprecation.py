"""An operation that will be gone says so with every answer, refusals too, and no other operation does."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.api.deprecation import Deprecation
from gateway.api.routing import Resource, deprecated
from tests.rest import Gateway, Tenant

DEPRECATION = Deprecation(since=date(2026, 1, 1), sunset=date(2027, 1, 1), more="/docs#/tasks/getTask")


async def test_its_answers_tell_since_when_until_when_and_where_to_read_more(served: Gateway, tenant: Tenant) -> None:
    (route,) = [one for one in served.app.routes if isinstance(one, Resource) and one.path == "/v1/tasks"]
    route.operations = {**route.operations, "get": deprecated(route.operations["get"], DEPRECATION)}
    async with served.client(tenant) as known, served.client() as unknown:
        for answer in (await known.get("/v1/tasks"), await unknown.get("/v1/tasks")):
            assert answer.headers["deprecation"] == "@1767225600"
            assert answer.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
            assert answer.headers["link"] == '</docs#/tasks/getTask>; rel="deprecation"'
        other = await known.post("/v1/tasks", json={"name": "echo"})
    assert not {"deprecation", "sunset", "link"} & other.headers.keys()


def test_nothing_is_gone_before_it_is_deprecated() -> None:
    with pytest.raises(ValueError, match="before it is gone"):
        Deprecation(since=date(2026, 1, 1), sunset=date(2026, 1, 1))
