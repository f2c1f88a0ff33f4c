"""`GET /v1/caller` tells whoever asks of themselves: by a key with any scope, and by a token of an issuer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from gateway.auth.keyring import create_key, open_keyring
from gateway.auth.keys import TENANT_SCOPES, Scope
from tests.integration.token_holders import holding
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Gateway, Tenant, add_tenant
from tests.stack.identity_provider import IdentityProvider
from workerapp.db.address import DatabaseAddress

CALLER = "/v1/caller"


def add_user(database: TestDatabase, organization_id: UUID) -> UUID:
    with connect(database.admin_url, organization_id=organization_id) as admin:
        statement = "INSERT INTO app_user (organization_id, name) VALUES (%s, 'Ada') RETURNING id"
        row = admin.execute(statement, (organization_id,)).fetchone()
    assert row is not None
    return UUID(str(row[0]))


async def test_a_key_learns_whose_it_is_what_it_may_do_and_until_when(served: Gateway, database: TestDatabase) -> None:
    tenant = add_tenant(database, name="acme")
    user_id, ends = add_user(database, tenant.organization_id), datetime(2099, 1, 1, tzinfo=UTC)
    scopes = ["webhooks:manage", "runs:read"]
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        key = create_key(keyring, tenant.organization_id, "ci", scopes, expires_at=ends, user_id=user_id)
        keyring.execute("UPDATE organization SET plan = 'large' WHERE id = %s", (tenant.organization_id,))
    async with served.client(Tenant(organization_id=key.organization_id, key_id=key.id, secret=key.secret)) as client:
        assert (await client.get(CALLER)).json() == {
            "organization_id": str(tenant.organization_id),
            "organization": "acme",
            "plan": "large",
            "user_id": str(user_id),
            "key_id": str(key.id),
            "key_name": "ci",
            "subject": None,
            "scopes": ["runs:read", "webhooks:manage"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "links": {"self": CALLER, "api_key": f"/v1/api-keys/{key.id}"},
        }


async def test_a_key_without_a_user_or_an_end_says_so_and_its_link_leads_to_it(
    api: httpx.AsyncClient, tenant: Tenant
) -> None:
    caller = (await api.get(CALLER)).json()
    assert (caller["user_id"], caller["expires_at"], caller["scopes"]) == (None, None, [*TENANT_SCOPES])
    assert (await api.get(caller["links"]["api_key"])).json()["id"] == caller["key_id"] == str(tenant.key_id)


@pytest.mark.parametrize("scope", Scope)
async def test_every_scope_is_enough(served: Gateway, database: TestDatabase, scope: Scope) -> None:
    async with served.client(add_tenant(database, [scope])) as client:
        answer = await client.get(CALLER)
    assert (answer.status_code, answer.json()["scopes"]) == (200, [scope])


async def test_the_holder_of_a_token_is_named_as_its_issuer_does(
    trusting: Gateway, provider: IdentityProvider, database: TestDatabase
) -> None:
    tenant = add_tenant(database, name="acme")
    user_id = add_user(database, tenant.organization_id)
    begins = datetime.now(UTC)
    for subject, known in (("somebody", None), (str(user_id), str(user_id))):
        token = provider.token(tenant.organization_id, sub=subject, scope="runs:read events:read")
        async with holding(trusting, token) as client:
            caller = (await client.get(CALLER)).json()
        assert (caller["organization"], caller["subject"], caller["user_id"]) == ("acme", subject, known)
        assert (caller["key_id"], caller["key_name"], caller["links"]) == (None, None, {"self": CALLER})
        assert caller["scopes"] == ["runs:read", "events:read"]
        assert datetime.fromisoformat(caller["expires_at"]) > begins + timedelta(seconds=30)
