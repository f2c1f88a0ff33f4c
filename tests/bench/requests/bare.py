"""The limit: Starlette and asyncpg, and nothing but the statements that the gateway executes for the same requests.

Nobody is asked who he is, nothing is validated, limited, logged or counted. `python -m tests.bench.requests.bare PORT`,
with DATABASE_URL, ORGANIZATION and CONFIGURATION in the environment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.database import ROLE
from tests.bench.requests.statements import AUDIT, LOAD, PUBLISH, READ, RUN, TENANT, USABLE
from workerapp.app import Producer
from workerapp.contract.tasks import EXECUTE_TEST_CONFIGURATION
from workerapp.db.address import DatabaseAddress

ORGANIZATION = os.environ.get("ORGANIZATION", "")
POOL = 20


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    address = DatabaseAddress.parse(os.environ["DATABASE_URL"])
    arguments = address.asyncpg_target() | address.asyncpg_arguments(role=ROLE)
    async with asyncpg.create_pool(min_size=POOL, max_size=POOL, **arguments) as pool:
        yield {"pool": pool, "producer": Producer()}


async def read(request: Request) -> Response:
    async with request.state.pool.acquire() as connection, connection.transaction():
        await connection.fetchrow(TENANT, ORGANIZATION, "")
        row = await connection.fetchrow(READ, "exc_type", ORGANIZATION, request.path_params["task_id"])
    return JSONResponse({name: _plain(value) for name, value in row.items()})


async def execute(request: Request) -> Response:
    configuration, task_id = request.path_params["configuration_id"], str(uuid4())
    async with request.state.pool.acquire() as connection, connection.transaction():
        await connection.fetchrow(TENANT, ORGANIZATION, "")
        await connection.fetchrow(USABLE, ORGANIZATION, configuration)
        await connection.fetchrow(LOAD, ORGANIZATION)
        run_id = str(await connection.fetchval(RUN, ORGANIZATION, configuration, task_id))
        headers = {"organization_id": ORGANIZATION, "test_run_id": run_id}
        messages = request.state.producer.messages(
            EXECUTE_TEST_CONFIGURATION, (configuration, run_id), {}, headers=headers, task_id=task_id
        )
        for captured in messages:
            await connection.fetchrow(PUBLISH, captured.queue, json.dumps(captured.message))
        await connection.fetchrow(AUDIT, ORGANIZATION, configuration)
    return JSONResponse({"task_id": task_id, "test_run_id": run_id, "status": "queued"}, 202)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else str(value)


app = Starlette(
    routes=[
        Route("/v1/tasks/{task_id}", read),
        Route("/v1/test-configurations/{configuration_id}/execute", execute, methods=["POST"]),
    ],
    lifespan=_lifespan,
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="info")
