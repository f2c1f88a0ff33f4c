"""What two organizations own before they meet, with a mark in every text that somebody can write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from tests.definitions import METRIC
from tests.records import act_for, plan_run
from tests.stack.client import Client


@dataclass(frozen=True, kw_only=True)
class Estate:
    """One of everything, of one organization."""

    organization_id: str
    mark: str
    #: By the names that paths and bodies have for them.
    ids: Mapping[str, str]


def furnish(client: Client, admin: psycopg.Connection) -> Estate:
    """Make one of everything for the client's organization; its run has ended with an answer that holds the mark."""
    mark = f"mark{uuid4().hex}"
    configuration = client.configure(
        endpoint={"name": mark, "url": f"https://{mark}.example.com/", "request": {"q": "{{ input }}", "x": mark}},
        tests=[{"input": mark, "expected": mark, "tags": [mark], "metadata": {"x": mark}}],
        name=mark,
        metrics=[{"type": "contains", "value": mark}],
    )
    found = client.get(f"/v1/test-configurations/{configuration}")
    asked = {"test_configuration_ids": [configuration]}
    group = client.post(f"/v1/test-sets/{found['test_set_id']}/execute", asked)
    run = _ended_run(admin, UUID(client.organization_id), UUID(configuration), mark)
    key = client.post("/v1/api-keys", {"name": mark, "scopes": ["runs:read"]})
    hook = {"url": f"https://{mark}.example.com/", "description": mark, "headers": {"X-Mark": mark}}
    webhook = client.post("/v1/webhook-endpoints", hook)
    ids = {
        "task_id": client.submit("echo", mark),
        "endpoint_id": found["endpoint_id"],
        "test_set_id": found["test_set_id"],
        "test_configuration_id": configuration,
        "test_id": client.get(f"/v1/test-sets/{found['test_set_id']}/tests")["items"][0]["id"],
        "metric_id": client.post("/v1/metrics", METRIC | {"name": mark, "description": mark})["id"],
        "test_run_id": run,
        "other_test_run_id": client.execute(configuration),
        "run_group_id": group["run_group_id"],
        "api_key_id": key["api_key"]["id"] if "api_key" in key else key["id"],
        "webhook_endpoint_id": webhook["id"],
        "webhook_delivery_id": client.post(webhook["links"]["test"], {})["id"],
        "user_id": _user(admin, UUID(client.organization_id), mark),
    }
    return Estate(organization_id=client.organization_id, mark=mark, ids=ids)


def _ended_run(admin: psycopg.Connection, organization_id: UUID, configuration_id: UUID, mark: str) -> str:
    run = plan_run(admin, organization_id, configuration_id)
    results = [{"test_id": str(run.test_ids[0]), "status": "pass", "output": mark, "attempts": 1, "latency_ms": 1.0}]
    admin.execute("SELECT record_results(%s, %s)", (run.id, Jsonb(results)))
    return str(run.id)


def _user(admin: psycopg.Connection, organization_id: UUID, mark: str) -> str:
    act_for(admin, organization_id)
    row = admin.execute(
        "INSERT INTO app_user (organization_id, name, email) VALUES (%s, %s, %s) RETURNING id",
        (organization_id, mark, f"{mark}@example.com"),
    ).fetchone()
    assert row is not None
    return str(row[0])
