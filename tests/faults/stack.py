"""The deployment that is broken: a Postgres of its own, gateways, workers and an application under test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from gateway.auth.keyring import create_key, create_organization, open_keyring
from tests.postgres import TestDatabase
from tests.records import connect
from tests.stack.broker_servers import RabbitNode, RedisServer
from tests.stack.brokers import Broker, running_broker, served_broker
from tests.stack.own_postgres import OwnPostgres
from tests.stack.process import Process
from tests.stack.services import Gateway, Worker, free_port
from workerapp.db.address import DatabaseAddress

#: What must be waited for after a fault is short. Messages are read often here, because many workers die.
WAITS = {
    "GATEWAY_VISIBILITY_TIMEOUT": "5",
    "GATEWAY_LANE_LEASE_SECONDS": "5",
    "GATEWAY_LANE_SLICE_SECONDS": "1",
    "GATEWAY_LANE_CONCURRENCY": "5",
    "GATEWAY_SWEEP_PAUSE_SECONDS": "1",
    "GATEWAY_MAX_READS": "1000",
    "GATEWAY_BROKER_LOST_SECONDS": "5",
}
#: How long a worker tries to write a state: shorter than the outage, so that messages are handed back too.
PATIENCE = "GATEWAY_RESULT_PATIENCE_SECONDS"


class PatientGateway(Gateway):
    """Comes up by itself whenever the database does; nobody waits for it."""

    def start(self) -> None:
        Process.start(self)


class Endpoint(Process):
    """The application under test."""

    def __init__(self) -> None:
        self.port = free_port()
        super().__init__("endpoint", ["-m", "tests.faults.endpoint", str(self.port)], {})

    def start(self) -> None:
        super().start()
        self.wait_for("endpoint ready")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@dataclass(frozen=True, kw_only=True)
class Stack:
    folder: Path
    postgres: OwnPostgres
    gateways: list[Gateway]
    workers: list[Worker]
    endpoint: Endpoint
    key: str
    broker: Broker

    @property
    def processes(self) -> list[Process]:
        return [*self.gateways, *self.workers, self.endpoint]

    def connect(self) -> psycopg.Connection:
        """As superuser, who sees everything."""
        return connect(self.postgres.address)

    def restart(self, process: Process) -> None:
        """SIGKILL the whole group and start it again; what it said is kept."""
        process.kill()
        self.keep_output(process)
        process.start()

    def keep_output(self, process: Process) -> None:
        name = process.name if process not in self.gateways else f"gateway-{self.gateways.index(process)}"
        with (self.folder / f"{name}.log").open("a") as log:
            log.writelines(f"{line}\n" for line in [*process.lines(""), "-" * 40])


@contextmanager
def running_stack(
    folder: Path,
    *,
    broker: str,
    gateways: int,
    workers: int,
    patience: float,
    gateways_environment: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    with ExitStack() as running:
        postgres = running.enter_context(OwnPostgres(folder))
        with connect(postgres.address) as admin:
            admin.execute(Path(__file__).with_name("probe.sql").read_bytes())
        database = TestDatabase(url=postgres.address, admin_url=postgres.address)
        carrier = running.enter_context(_carrier(broker, database))
        environment = WAITS | {PATIENCE: f"{patience:g}"} | dict(carrier.environment)
        of_gateways = dict(carrier.environment) | dict(gateways_environment or {})
        stack = Stack(
            folder=folder,
            postgres=postgres,
            gateways=[PatientGateway(database, environment=of_gateways) for _ in range(gateways)],
            workers=[
                Worker(database, ready=False, include=("tests.faults.tasks",), environment=environment)
                for _ in range(workers)
            ],
            endpoint=Endpoint(),
            key=_new_key(postgres.address),
            broker=carrier,
        )
        for process in stack.processes:
            running.enter_context(process)
        for worker in stack.workers:
            worker.wait_for(r"ready\.$")
        yield stack


def _carrier(kind: str, database: TestDatabase) -> AbstractContextManager[Broker]:
    """A broker that keeps what it has confirmed when it is killed."""
    if kind == "postgres":
        return running_broker(kind, database)
    return served_broker(kind, RabbitNode() if kind == "rabbitmq" else RedisServer(durable=True))


def _new_key(address: str) -> str:
    with open_keyring(DatabaseAddress.parse(address)) as connection:
        return create_key(connection, create_organization(connection, "fault run"), "fault run").secret
