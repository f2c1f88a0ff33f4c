"""The brokers of the matrix: Postgres, RabbitMQ (a virtual host of the machine's, or a node of its own) and Redis."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from kombu.connection import Connection

from tests.postgres import TestDatabase
from tests.stack.broker_servers import BrokerServer, RedisServer

RABBITMQ = os.environ.get("GATEWAY_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")


@dataclass(kw_only=True)
class Broker:
    """A broker, reached over a wire that can be cut."""

    kind: str
    url: str
    wire: Wire | None = None
    #: What the test may kill.
    server: BrokerServer | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        return {} if self.kind == "postgres" else {"BROKER_URL": self.url}

    def cut_connections(self, admin: psycopg.Connection) -> int:
        """End every connection to the broker; how many there were."""
        if self.wire is not None:
            return self.wire.cut()
        return admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name IN ('gateway-broker', 'gateway-listen', 'gateway-leases')"
        ).rowcount

    def lose_everything(self, queue: str) -> None:
        """What the broker holds is gone, as after a crash of one that keeps nothing on disk."""
        if isinstance(self.server, RedisServer):
            self.server.restart()
            return
        with Connection(self.url) as connection:
            connection.default_channel.queue_delete(queue)

    def waiting(self, queue: str) -> int:
        """How many messages the broker itself could deliver now."""
        with Connection(self.url) as connection:
            declared = connection.default_channel.queue_declare(queue, durable=True, auto_delete=False)
            return int(declared.message_count)


@contextmanager
def running_broker(kind: str, database: TestDatabase) -> Iterator[Broker]:
    if kind == "postgres":
        yield Broker(kind=kind, url=database.url)
    elif kind == "amqp":
        with _virtual_host() as vhost, Wire(_port_of(RABBITMQ)) as wire:
            yield Broker(kind=kind, url=f"amqp://{_login(RABBITMQ)}@127.0.0.1:{wire.port}/{vhost}", wire=wire)
    else:
        with served_broker(kind, RedisServer()) as broker:
            yield broker


@contextmanager
def served_broker(kind: str, server: BrokerServer) -> Iterator[Broker]:
    """A broker whose server may be killed."""
    with server, Wire(server.port) as wire:
        url = server.url.replace(f":{server.port}", f":{wire.port}")
        yield Broker(kind=kind, url=url, wire=wire, server=server)


def _port_of(url: str) -> int:
    return urlsplit(url).port or 5672


def _login(url: str) -> str:
    parts = urlsplit(url)
    return f"{quote(parts.username or 'guest')}:{quote(parts.password or 'guest')}"


@contextmanager
def _virtual_host() -> Iterator[str]:
    if shutil.which("rabbitmqctl") is None:
        pytest.skip("rabbitmqctl is not installed here; the matrix makes a virtual host of its own with it")
    name = f"gwtest-{uuid.uuid4().hex[:12]}"
    made = _rabbitmqctl("add_vhost", name)
    if made.returncode != 0:
        pytest.skip(f"no RabbitMQ answers here: {made.stderr.strip().splitlines()[:1]}")
    try:
        user = urlsplit(RABBITMQ).username or "guest"
        assert _rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*").returncode == 0
        yield name
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["rabbitmqctl", "-q", *arguments], capture_output=True, text=True, timeout=60, check=False)


class Wire:
    """A TCP proxy: what goes through it can be cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._ends: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        self.cut()

    def cut(self) -> int:
        """End every connection; how many ends there were."""
        ends = list(self._ends)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(ends)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._ends |= {near, far}
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        self._ends -= {near, far}
        near.close()
        far.close()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
