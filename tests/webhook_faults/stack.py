"""What is broken: a Postgres of its own, workers that send webhooks, and endpoints of every manner."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg

from tests.postgres import TestDatabase
from tests.records import add_organization, connect
from tests.stack.own_postgres import OwnPostgres
from tests.stack.process import peak_megabytes
from tests.stack.services import Worker, free_port
from tests.webhook_faults.receivers import MANNERS, Receivers
from tests.webhooks import end_run, receiving_apart, subscribe
from workerapp.contract.events import EVENT_CHANNEL

#: By port, the sockets of connections.
CONNECTIONS = Path("/proc/net/tcp")
_LOCAL, _INODE = 1, 9


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    id: UUID
    manner: str


@dataclass(kw_only=True)
class Stack:
    postgres: OwnPostgres
    workers: list[Worker]
    receivers: Receivers
    organization_id: UUID
    endpoints: list[Endpoint]
    #: By each run that was settled, the endpoint that is called back.
    runs: dict[str, UUID] = field(default_factory=dict)
    #: By how much a worker's main process has grown since it was ready, the most of all.
    grown_megabytes: float = 0.0
    _ready_megabytes: dict[int, float] = field(default_factory=dict)

    def connect(self) -> psycopg.Connection:
        """As superuser, who sees everything."""
        return connect(self.postgres.address)

    def settle_runs(self, count: int) -> None:
        """End runs, which queues their webhooks."""
        callbacks = [endpoint for endpoint in self.endpoints if MANNERS[endpoint.manner].is_callback]
        with self.connect() as admin:
            for _ in range(count):
                callback = callbacks[len(self.runs) % len(callbacks)]
                url = self.receivers.url(f"/{callback.manner}")
                called_back = {"callback_endpoint_id": callback.id, "callback_url": url}
                self.runs[str(end_run(admin, self.organization_id, **called_back))] = callback.id
            admin.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))

    def enable_endpoints(self) -> None:
        """Those that were disabled get another chance, as operators give it."""
        with self.connect() as admin:
            admin.execute(
                "UPDATE webhook_endpoint SET disabled_at = NULL, disabled_reason = NULL WHERE disabled_at IS NOT NULL"
            )

    def await_ready(self, worker: Worker) -> None:
        worker.wait_for(r"ready\.$")
        self._ready_megabytes[worker.pid] = peak_megabytes(worker.pid)

    def weigh(self, worker: Worker) -> None:
        """To be called before it ends."""
        grown = peak_megabytes(worker.pid) - self._ready_megabytes[worker.pid]
        self.grown_megabytes = max(self.grown_megabytes, grown)

    def sender(self) -> Worker | None:
        """The worker whose request waits at the gate."""
        return next(filter(None, map(self._owner, list(self.receivers.gate.waiting))), None)

    def _owner(self, port: int) -> Worker | None:
        rows = [line.split() for line in CONNECTIONS.read_text().splitlines()[1:]]
        sockets = {f"socket:[{row[_INODE]}]" for row in rows if int(row[_LOCAL].rpartition(":")[2], 16) == port}
        return next((worker for worker in self.workers if sockets & set(_open_files(worker.pid))), None)


@contextmanager
def running_stack(folder: Path, *, workers: int, seed: int, timeout: float, delays: Sequence[float]) -> Iterator[Stack]:
    environment = {
        "GATEWAY_WEBHOOK_TIMEOUT_SECONDS": f"{timeout:g}",
        "GATEWAY_WEBHOOK_RETRY_DELAYS": " ".join(f"{delay:g}" for delay in delays),
        "GATEWAY_LOG_LEVEL": "INFO",
    }
    with ExitStack() as running:
        postgres = running.enter_context(OwnPostgres(folder))
        receiver = running.enter_context(receiving_apart())
        database = TestDatabase(url=postgres.address, admin_url=postgres.address)
        with connect(postgres.address) as admin:
            organization_id = add_organization(admin)
            receivers = Receivers(receiver, random.Random(seed))
            endpoints = [_add_endpoint(admin, organization_id, receivers, manner) for manner in MANNERS]
        stack = Stack(
            postgres=postgres,
            workers=[Worker(database, concurrency=1, ready=False, environment=environment) for _ in range(workers)],
            receivers=receivers,
            organization_id=organization_id,
            endpoints=endpoints,
        )
        for worker in stack.workers:
            running.enter_context(worker)
        for worker in stack.workers:
            stack.await_ready(worker)
        yield stack


def _add_endpoint(admin: psycopg.Connection, organization_id: UUID, receivers: Receivers, manner: str) -> Endpoint:
    path = f"/{manner}"
    url = f"http://127.0.0.1:{free_port()}/" if manner == "refused" else receivers.url(path)
    kind = "callback" if MANNERS[manner].is_callback else "subscription"
    event_types = ["test_run.*", "webhook_endpoint.*"] if manner == "ok" else ["test_run.*"]
    subscription = subscribe(admin, organization_id, url, kind=kind, event_types=event_types)
    receivers.secrets[path] = subscription.secret
    return Endpoint(id=subscription.id, manner=manner)


def _open_files(pid: int) -> Iterator[str]:
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield str(file.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
