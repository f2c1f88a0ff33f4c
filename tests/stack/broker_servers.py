"""Brokers of a test's own, which it may kill and start again: a RabbitMQ node and a Redis."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from tests.stack.services import free_port
from tests.waiting import until

#: Debian's own `rabbitmq-server` wants to be root or rabbitmq, and to write to the machine's folders.
RABBITMQ_SERVERS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
#: A node takes 5 to 10 seconds to start, and more on a busy machine.
START_SECONDS = 120.0


class BrokerServer(ABC):
    """A broker with a folder of its own, which survives its process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gwbroker-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is reached."""

    @abstractmethod
    def _command(self) -> Sequence[str]: ...

    @abstractmethod
    def _greet(self, connection: socket.socket) -> bool:
        """Whether what listens there is ready."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        """Start it with what it has kept on disk, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command(),
            env=self._environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(self._answers, START_SECONDS)

    def kill(self) -> None:
        """SIGKILL: it gets to write nothing any more."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def restart(self) -> None:
        """SIGKILL it and start it again."""
        self.kill()
        self.start()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._command()[0]} ended with {self._process.returncode}"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            return self._greet(connection)
        return False


class RabbitNode(BrokerServer):
    """A RabbitMQ node with its own folders, ports and port mapper, and without plugins."""

    def __init__(self) -> None:
        super().__init__()
        self._mapper_port = free_port()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        mapper = shutil.which("epmd")
        if mapper is not None:
            port = {"ERL_EPMD_PORT": str(self._mapper_port)}
            subprocess.run([mapper, "-kill"], env=os.environ | port, capture_output=True, timeout=10, check=False)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def _command(self) -> Sequence[str]:
        found = next(filter(None, map(shutil.which, RABBITMQ_SERVERS)), None)
        if found is None:
            pytest.skip("rabbitmq-server is not installed here; this test kills a node of its own")
        return [found]

    def _environment(self) -> dict[str, str]:
        plugins = self.folder / "enabled_plugins"
        plugins.touch()
        return super()._environment() | {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"gateway-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        }

    def _greet(self, connection: socket.socket) -> bool:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return bool(connection.recv(1))


class RedisServer(BrokerServer):
    """A Redis that keeps nothing on disk, or every write."""

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__()
        self._durable = durable

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> Sequence[str]:
        found = shutil.which("redis-server")
        if found is None:
            pytest.skip("redis-server is not installed here")
        keep = "yes" if self._durable else "no"
        return [found, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", keep]

    def _greet(self, connection: socket.socket) -> bool:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
