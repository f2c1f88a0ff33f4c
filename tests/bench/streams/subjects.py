"""What is measured: a server process that many clients follow, and a way to publish events there."""

from __future__ import annotations

import http.client
import json
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

from tests.bench.streams.servers import KINDS
from tests.stack.process import Process
from tests.stack.services import free_port

#: So late a publisher gives up.
LATEST_SECONDS = 5


class Subject(Protocol):
    """One server, running inside its `with` block."""

    name: str
    port: int
    #: A request header of every client.
    header: str

    @property
    @abstractmethod
    def server(self) -> int:
        """The process that serves the clients."""

    @abstractmethod
    def paths(self, clients: int) -> Sequence[str]:
        """What the clients ask for, in turn; asked for anew by every crowd."""

    @abstractmethod
    def receivers(self, clients: int) -> int:
        """How many of the clients get each event."""

    @abstractmethod
    def publish(self, moments: Sequence[float]) -> None:
        """Publish an event at each moment, in seconds from now; returns after the last."""


def paced(moments: Sequence[float]) -> Iterator[int]:
    """Count the moments, each when it has come; the rest is left out when the publisher cannot keep up at all."""
    begin = time.monotonic()
    for number, moment in enumerate(moments):
        early = begin + moment - time.monotonic()
        if early < -LATEST_SECONDS:
            return
        time.sleep(max(0.0, early))
        yield number


class OwnPublisher(Process):
    """A server of `servers.py`, which publishes what it serves."""

    header = ""

    def __init__(self, kind: str) -> None:
        assert kind in KINDS
        self.port = free_port()
        super().__init__(kind, ["-m", "tests.bench.streams.servers", kind, str(self.port)], {})

    def start(self) -> None:
        super().start()
        self.wait_for("^ready$")

    @property
    def server(self) -> int:
        return self.pid

    def paths(self, clients: int) -> Sequence[str]:
        return ["/events"]

    def receivers(self, clients: int) -> int:
        return clients

    def publish(self, moments: Sequence[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", "/publish", json.dumps(list(moments)))
        answer = connection.getresponse()
        assert answer.status == 204, answer.read()
        connection.close()
