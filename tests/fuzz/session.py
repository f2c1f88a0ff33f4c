"""A gateway and two organizations for a campaign, and what has to be true when it is over."""

from __future__ import annotations

from uuid import UUID

from tests.fuzz.campaign import Campaign, Findings
from tests.fuzz.estates import furnish
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
}


def fuzz(database: TestDatabase, *, seed: int, count: int, seconds: float | None = None) -> Findings:
    """Let one organization ask for what is another's; that one's rows must be the same afterwards."""
    with (
        Gateway(database, environment=SHORT) as gateway,
        connect(database.admin_url) as admin,
        new_client(database, gateway.url, "owner") as owner,
        new_client(database, gateway.url, "stranger") as stranger,
    ):
        theirs, own = furnish(owner, admin), furnish(stranger, admin)
        before = rows_of(admin, UUID(theirs.organization_id))
        findings = Campaign(stranger.http, own, theirs, seed).run(count=count, seconds=seconds)
        after = rows_of(admin, UUID(theirs.organization_id))
        for table in sorted(before):
            if before[table] != after[table]:
                findings.wrong[table, "changed"] = f"{table}: rows of the other organization were changed"
        gateway.assert_running()
        findings.log = gateway.lines("Traceback|Error|ERROR")
    return findings
