"""Measures our own deployment: gateway, worker and Postgres as processes of their own, watched by an SSE client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.records import connect
from tests.stack.client import Client
from tests.waiting import until

TIMEOUT = aiohttp.ClientTimeout(total=120)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What is running."""

    client: Client
    admin_url: str
    endpoint_url: str


async def submit_to_started(deployment: Deployment, samples: int) -> list[float]:
    """Milliseconds from the submission of a trivial task until an SSE client sees that it was started."""
    found = []
    async with _session(deployment) as session:
        for _ in range(samples):
            begin = time.monotonic()
            async with session.post("/v1/tasks", json={"name": "tests.bench.now"}) as answer:
                links = (await answer.json())["links"]
            events = _events(session, links["events"] + "?after=0")
            found += [(time.monotonic() - begin) * 1000 async for event in events if event["type"] == "task.started"]
            await asyncio.sleep(0.05)
    return found


async def last_part_to_settled(deployment: Deployment, samples: int, tests: int = 10) -> list[float]:
    """Milliseconds from the answer to a run's last test until an SSE client sees that the run has settled."""
    configuration = configure(deployment, tests=tests, concurrency=tests)
    found = []
    async with _session(deployment) as session:
        for _ in range(samples):
            async with session.post(f"/v1/test-configurations/{configuration}/execute", json={}) as answer:
                links = (await answer.json())["links"]
            async for event in _events(session, links["events"]):
                seen = time.monotonic()
                if event["type"].startswith("test_run.") and event["data"]["status"] not in ("queued", "running"):
                    assert event["data"]["status"] == "completed", event
                    async with session.get(deployment.endpoint_url) as answer:
                        found.append((seen - (await answer.json())["last"]) * 1000)
            await asyncio.sleep(0.05)
    return found


def run_throughput(deployment: Deployment, samples: int, tests: int = 5000) -> list[float]:
    """Tests a second of a run with concurrency 100, from its first moment to its last."""
    configuration = configure(deployment, tests=tests, concurrency=100)
    found = []
    for _ in range(samples):
        run = deployment.client.settled(deployment.client.execute(configuration), seconds=120)
        assert (run["status"], run["passed"]) == ("completed", tests), run
        found.append(tests / run["duration_seconds"])
    return found


def configure(deployment: Deployment, *, tests: int, concurrency: int) -> str:
    return deployment.client.configure(
        endpoint={"url": deployment.endpoint_url, "request": {"question": "{{ input }}"}},
        tests=[{"input": f"question {number}", "expected": "ok"} for number in range(tests)],
        metrics=[{"type": "equals"}],
        concurrency=concurrency,
    )


def fill_queue(deployment: Deployment, tasks: int) -> None:
    """Publish trivial tasks as the gateway does; no worker runs yet."""
    message = _message(deployment)
    with connect(deployment.admin_url) as admin:
        admin.execute(
            "SELECT broker_publish('celery', jsonb_set(jsonb_set(%(message)s::jsonb, '{headers,id}', to_jsonb(id)),"
            " '{properties,correlation_id}', to_jsonb(id)))"
            " FROM (SELECT gen_random_uuid()::text AS id FROM generate_series(1, %(tasks)s)) ids",
            {"message": message, "tasks": tasks},
        )


def trivial_tasks_per_second(deployment: Deployment, tasks: int) -> float:
    """How fast the worker that was just started empties the queue."""

    def times() -> list[float] | None:
        rows = admin.execute(
            "SELECT result::float FROM task WHERE name = 'tests.bench.now' AND state = 'SUCCESS'"
            " ORDER BY result::float DESC LIMIT %s",
            (tasks,),
        ).fetchall()
        left = admin.execute("SELECT count(*) FROM broker_message WHERE queue = 'celery'").fetchone()
        return [row[0] for row in rows] if left == (0,) else None

    with connect(deployment.admin_url) as admin:
        found = until(times, seconds=120, pause=0.1) or []
    return tasks / (found[0] - found[-1])


def _message(deployment: Deployment) -> str:
    """The message of one submission, as it waits in the queue; it is taken out again."""
    deployment.client.submit("tests.bench.now")
    with connect(deployment.admin_url) as admin:
        row = admin.execute("DELETE FROM broker_message WHERE queue = 'celery' RETURNING message::text").fetchone()
    assert row is not None
    return str(row[0])


def _session(deployment: Deployment) -> aiohttp.ClientSession:
    client = deployment.client
    headers = {"Authorization": f"Bearer {client.key}"}
    return aiohttp.ClientSession(str(client.http.base_url), headers=headers, timeout=TIMEOUT)


async def _events(session: aiohttp.ClientSession, path: str) -> AsyncIterator[dict[str, Any]]:
    async with session.get(path) as stream:
        async for line in stream.content:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
