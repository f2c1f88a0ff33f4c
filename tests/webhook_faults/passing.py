"""The time that webhooks wait for is not waited for: what they wait for is moved nearer, when all else is done."""

from __future__ import annotations

import random
from datetime import timedelta

from tests.waiting import until
from tests.webhook_faults.stack import Stack
from tests.webhooks import pass_time

#: Whoever lives has recorded by then what it claimed before.
SECONDS_OF_AN_ATTEMPT = 4.0
#: Nothing could be attempted, skipped or recorded now; old claims are those of workers that died.
IDLE = """
SELECT NOT EXISTS (
    SELECT FROM webhook_delivery d JOIN webhook_endpoint e ON e.id = d.webhook_endpoint_id
    WHERE d.status = 'pending' AND (
        d.lease_until < now() OR d.lease_until > now() + %s - interval '1 second' * %s
        OR d.leased_by IS NULL AND (
            e.disabled_at IS NOT NULL OR d.next_attempt_at <= now() AND coalesce(e.held_until <= now(), true))))
"""
#: In how many seconds each of them may be attempted again.
WAITS = """
SELECT extract(epoch FROM greatest(d.next_attempt_at, d.lease_until, e.held_until) - now())::double precision
FROM webhook_delivery d JOIN webhook_endpoint e ON e.id = d.webhook_endpoint_id WHERE d.status = 'pending' ORDER BY 1
"""


class Time:
    """Passes at a wave of the hand."""

    def __init__(self, stack: Stack, *, seed: int, lease: float, patience: float) -> None:
        self._stack, self._lease, self._patience = stack, lease, patience
        self._random = random.Random(seed)
        #: How much has passed.
        self.hours = 0.0

    def let_claims_run_out(self) -> None:
        """Of whoever holds any."""
        self._pass(self._lease + 1)

    def pass_some(self) -> None:
        """So much that one of those that wait is due, when all that can be done now has been."""
        if waits := self._waits():
            self._pass(self._random.choice(waits) + 1)

    def pass_all(self) -> None:
        """Until nothing is left to wait for."""
        while waits := self._waits():
            self._pass(waits[-1] + 1)

    def _waits(self) -> list[float]:
        """How long deliveries wait that have not ended when nothing is left to do now."""
        parameters = (timedelta(seconds=self._lease), SECONDS_OF_AN_ATTEMPT)
        with self._stack.connect() as admin:
            until(lambda: admin.execute(IDLE, parameters).fetchone() == (True,), self._patience, 0.05)
            return [row[0] for row in admin.execute(WAITS).fetchall()]

    def _pass(self, seconds: float) -> None:
        with self._stack.connect() as admin:
            pass_time(admin, timedelta(seconds=seconds))
        self.hours += seconds / 3600
