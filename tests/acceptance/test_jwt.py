"""Whoever has a token of the operator's identity provider does what a key does, over processes of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from gateway.auth.keyring import create_organization, open_keyring
from tests.postgres import TestDatabase
from tests.stack.client import Client
from tests.stack.commands import run_command
from tests.stack.identity_provider import IdentityProvider, identity_provider, signing_key, unsigned
from tests.stack.services import Gateway, Worker
from workerapp.db.address import DatabaseAddress


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider(signing_key("acceptance", "RS256")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase, provider: IdentityProvider) -> Iterator[Gateway]:
    environment = {
        "GATEWAY_JWT_ISSUERS": json.dumps([provider.settings(clock_skew_seconds=0)]),
        "GATEWAY_JWT_KEYS_PAUSE_SECONDS": "0",
    }
    with Gateway(module_database, environment=environment) as running:
        yield running


@pytest.fixture
def organization_id(module_database: TestDatabase) -> str:
    """Of an organization that has no key."""
    with open_keyring(DatabaseAddress.parse(module_database.admin_url)) as connection:
        return str(create_organization(connection, f"organization {uuid4()}"))


@pytest.fixture
def person(gateway: Gateway, provider: IdentityProvider, organization_id: str) -> Iterator[Client]:
    with Client(gateway.url, provider.token(organization_id), organization_id) as client:
        yield client


def test_a_person_submits_and_watches_without_any_key(worker: Worker, person: Client) -> None:
    task_id = person.submit("echo", "hello")
    types = [event.type for event in person.events(f"/v1/tasks/{task_id}/events", cursor="0")]
    assert types == ["task.pending", "task.started", "task.succeeded"]
    assert f"Organization: {person.organization_id}, User: unknown" in person.task(task_id)["result"]


def test_a_run_that_a_person_started_settles(worker: Worker, person: Client) -> None:
    run_id = person.execute(person.configure(endpoint={"url": "http://127.0.0.1:9/"}, tests=[{"input": "?"}]))
    assert person.settled(run_id)["status"] in {"partial", "failed"}


def test_an_issuer_changes_its_keys_and_the_gateway_goes_on(
    gateway: Gateway, provider: IdentityProvider, organization_id: str
) -> None:
    provider.keys.insert(0, signing_key("next", "EdDSA"))
    with Client(gateway.url, provider.token(organization_id), organization_id) as client:
        assert client.get("/v1/tasks")["items"] == []


def test_bad_tokens_are_refused_with_the_reason(
    gateway: Gateway, provider: IdentityProvider, organization_id: str
) -> None:
    claims = provider.claims(organization_id)
    for token, why in (
        (provider.token(organization_id, exp=int(time.time()) - 1), "has expired"),
        (provider.token(organization_id, aud="other"), "another audience"),
        (signing_key("stranger").sign(claims), "does not publish"),
        (unsigned(claims), "not signed"),
    ):
        refused = httpx.get(f"{gateway.url}/v1/tasks", headers={"Authorization": f"Bearer {token}"})
        assert refused.status_code == 401
        assert why in refused.json()["detail"]
        assert why in refused.headers["www-authenticate"]


def test_a_gateway_does_not_start_with_an_issuer_that_anybody_could_imitate(module_database: TestDatabase) -> None:
    issuer = {"issuer": "https://id.example.com/", "audience": "gateway", "algorithms": ["HS256"]}
    environment = {"DATABASE_URL": module_database.url, "GATEWAY_JWT_ISSUERS": json.dumps([issuer])}
    ended = run_command("serve", "--port", "0", environment=environment)
    assert ended.status == 1
    assert "GATEWAY_JWT_ISSUERS[0].algorithms: HS256 is not possible" in ended.stderr
