"""A gateway and two organizations for a campaign, and what has to be true when it is over."""

from __future__ import annotations

from uuid import UUID

from gateway.auth.keys import Scope
from tests.fuzz.campaign import Campaign, Findings
from tests.fuzz.estates import Estate, furnish
from tests.postgres import TestDatabase
from tests.records import connect, rows_of
from tests.stack.client import new_client
from tests.stack.services import Gateway

#: Streams and waits end at once, and nothing that is asked for often is refused for that.
SHORT = {
    "GATEWAY_STREAM__MAX_AGE": "0.1",
    "GATEWAY_WAIT_MAX_SECONDS": "0",
    "GATEWAY_IDEMPOTENCY_WAIT_SECONDS": "1",
    "GATEWAY_MAX_API_KEYS": "100000",
    "GATEWAY_MAX_WEBHOOK_ENDPOINTS": "100000",
}
ADMIN = "/v1/admin/"


def fuzz(
    database: TestDatabase,
    *,
    seed: int,
    count: int,
    seconds: float | None = None,
    as_owner: bool = False,
    under: str = "",
) -> Findings:
    """Let one organization ask for what is another's; that one's rows must be the same afterwards.

    With `as_owner` the caller has the key of the organization that it shall not see: a campaign that finds nothing then
    would never find anything. `under` bounds it to paths that begin so.
    """
    with (
        Gateway(database, environment=SHORT) as gateway,
        connect(database.admin_url) as admin,
        new_client(database, gateway.url, "owner") as owner,
        new_client(database, gateway.url, "stranger") as stranger,
    ):
        theirs, own = furnish(owner, admin), furnish(stranger, admin)
        before = rows_of(admin, UUID(theirs.organization_id))
        client = (owner if as_owner else stranger).http
        findings = Campaign(client, own, theirs, seed, under).run(count=count, seconds=seconds)
        after = rows_of(admin, UUID(theirs.organization_id))
        for table in sorted(table for table in before if before[table] != after[table]):
            findings.wrong[table, "changed"] = f"{table}: rows of the other organization were changed"
        gateway.assert_running()
        findings.log = gateway.lines("Error|ERROR")
    return findings


def fuzz_operations(database: TestDatabase, *, seed: int, count: int) -> Findings:
    """Let an operator ask for what crosses organizations; nothing is foreign then."""
    with (
        Gateway(database, environment=SHORT) as gateway,
        connect(database.admin_url) as admin,
        new_client(database, gateway.url, "owner") as owner,
        new_client(database, gateway.url, "operators", [Scope.ADMIN]) as operator,
    ):
        known = {"organization_id": owner.organization_id, "task_id": furnish(owner, admin).ids["task_id"]}
        operators = Estate(organization_id=operator.organization_id, mark="", ids=known)
        nobody = Estate(organization_id="", mark="", ids={})
        findings = Campaign(operator.http, operators, nobody, seed, ADMIN).run(count=count)
        gateway.assert_running()
        findings.log = gateway.lines("Error|ERROR")
    return findings
