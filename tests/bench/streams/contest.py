"""Servers that are up at the same time, each with its crowd, measured in turn."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from tests.bench.streams.load import Crowd, LoadFailed
from tests.bench.streams.process import Usage, resident_bytes
from tests.bench.streams.report import Row
from tests.bench.streams.subjects import Subject
from tests.bench.streams.window import Case, Window, measure

logger = logging.getLogger(__name__)

#: Fewer clients do not show in a server's memory.
ENOUGH_TO_WEIGH = 100
WARM_UP_CLIENTS = 20
SETTLE_SECONDS = 1.0

Open = Callable[[], AbstractContextManager[Subject]]


class Contestant:
    """One server and its crowd."""

    def __init__(self, subject: Subject, program: Path, clients: int) -> None:
        self.memory: float | None = None
        self.connect_cpu = 0.0
        self._subject = subject
        self._program = program
        self._clients = clients
        self._crowd = ExitStack()

    def connect(self) -> None:
        """Let everybody in, weigh them while they are idle, and see that each gets an event."""
        self._gather(min(self._clients, WARM_UP_CLIENTS))
        before = resident_bytes(self._subject.server)
        self._gather(self._clients)
        if self._clients >= ENOUGH_TO_WEIGH:
            self.memory = (self._weight - before) / self._clients

    def measure(self, case: Case) -> Window:
        """One window; a crowd that the server has thinned is replaced afterwards."""
        window = measure(self._subject, self._open, case)
        if window.closed:
            self._gather(self._clients)
        return window

    def close(self) -> None:
        self._crowd.close()

    def _gather(self, clients: int) -> None:
        self._crowd.close()
        subject = self._subject
        paths = subject.paths(clients)
        crowd = Crowd(self._program, port=subject.port, paths=paths, clients=clients, header=subject.header)
        before = Usage.of(subject.server).cpu_seconds
        self._open = self._crowd.enter_context(crowd)
        time.sleep(SETTLE_SECONDS)
        self.connect_cpu = (Usage.of(subject.server).cpu_seconds - before) / clients
        self._weight = resident_bytes(subject.server)
        first = Case(clients=clients, rate=len(paths), seconds=1)
        seen = measure(subject, crowd, first)
        if seen.deliveries < seen.expected:
            raise LoadFailed(f"Only {seen.deliveries} of the first {seen.expected} deliveries of {subject.name} came.")


@contextmanager
def assembled(servers: Mapping[str, Open], program: Path, clients: int) -> Iterator[dict[str, Contestant]]:
    """All servers, up and with their clients."""
    with ExitStack() as stack:
        found = {}
        for name, server in servers.items():
            found[name] = Contestant(stack.enter_context(server()), program, clients)
            stack.callback(found[name].close)
            found[name].connect()
            logger.info("%s has its %d clients", name, clients)
        yield found


def compete(contestants: Mapping[str, Contestant], cases: Sequence[Case], rounds: int) -> list[Row]:
    """Measure every case of every server, once a round."""
    windows: dict[tuple[Case, str], list[Window]] = {(case, name): [] for case in cases for name in contestants}
    for number in range(rounds):
        for case in cases:
            for name, contestant in contestants.items():
                windows[case, name].append(contestant.measure(case))
                logger.info("round %d: %s, %s", number + 1, case, name)
    return [
        Row(
            case=case,
            subject=name,
            memory=contestants[name].memory,
            connect_cpu=contestants[name].connect_cpu,
            windows=measured,
        )
        for (case, name), measured in windows.items()
    ]
