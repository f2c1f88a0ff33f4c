"""What is broken: a Postgres of its own, and gateways whose limits are so small that clients meet them all the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.stack import PatientGateway
from tests.postgres import TestDatabase
from tests.stack.own_postgres import OwnPostgres
from tests.stack.services import Gateway
from tests.waiting import until

SMALL_LIMITS = {
    "GATEWAY_STREAM__TAIL_PAGE": "50",
    "GATEWAY_STREAM__QUEUE_EVENTS": "60",
    "GATEWAY_STREAM__QUEUE_BYTES": "20000",
    "GATEWAY_STREAM__REPLAY_PAGE": "50",
    "GATEWAY_STREAM__REPLAY_SCAN": "100",
    "GATEWAY_STREAM__KEEP_ALIVE": "0.3",
    "GATEWAY_STREAM__MAX_AGE": "6",
    "GATEWAY_STREAM__SEND_TIMEOUT": "5",
    "GATEWAY_STREAM__SHUTDOWN_TIMEOUT": "3",
    "GATEWAY_STREAM__RECONNECT_LONGEST": "1",
}


@dataclass(frozen=True, kw_only=True)
class Stack:
    postgres: OwnPostgres
    gateways: list[Gateway]

    @property
    def address(self) -> str:
        return self.postgres.address

    @property
    def database(self) -> TestDatabase:
        return TestDatabase(url=self.address, admin_url=self.address)

    @property
    def urls(self) -> list[str]:
        return [gateway.url for gateway in self.gateways]


@contextmanager
def running_stack(folder: Path, *, gateways: int) -> Iterator[Stack]:
    with ExitStack() as running:
        postgres = running.enter_context(OwnPostgres(folder))
        database = TestDatabase(url=postgres.address, admin_url=postgres.address)
        stack = Stack(
            postgres=postgres,
            gateways=[PatientGateway(database, environment=SMALL_LIMITS) for _ in range(gateways)],
        )
        for gateway in stack.gateways:
            running.enter_context(gateway)
        for gateway in stack.gateways:
            until(lambda gateway=gateway: gateway._answers("/readyz"), 60)
        yield stack
