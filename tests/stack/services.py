"""The processes of a running deployment: workers, gateways, and applications under test."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from uuid import uuid4

import httpx

from tests.postgres import TestDatabase
from tests.stack.process import START_SECONDS, Process
from tests.waiting import until
from workerapp.contract.tasks import CALLABLE_BY_NAME
from workerapp.db.sealing import new_key

#: Everything that is a matter of waiting is short, so that recovery takes a test seconds and not minutes.
SHORT_WAITS = {
    "GATEWAY_VISIBILITY_TIMEOUT": "3",
    "GATEWAY_POLLING_INTERVAL": "0.5",
    "GATEWAY_LANE_LEASE_SECONDS": "2",
    "GATEWAY_LANE_GRACE_SECONDS": "1",
    "GATEWAY_LANE_IDLE_SECONDS": "0.2",
    "GATEWAY_SWEEP_PAUSE_SECONDS": "0.5",
    "GATEWAY_TARGET_BACKOFF_SECONDS": "0.01",
}
SECRET_KEY = new_key()
#: Linux gives outgoing connections ports from 32768 on.
_BELOW_THOSE_OF_CONNECTIONS = 20_000, 32_000
#: Tasks that only tests need; see the module.
EXTRA_TASKS = "tests.stack.extra_tasks"


def shared_environment(database: TestDatabase) -> dict[str, str]:
    return {
        "DATABASE_URL": database.url,
        "GATEWAY_OUTBOUND_ALLOW": "127.0.0.0/8",
        "GATEWAY_LOG_LEVEL": "INFO",
        "GATEWAY_SECRET_KEYS": SECRET_KEY,
    }


class Worker(Process):
    """`celery -A workerapp worker`, which may also run the suite's own tasks."""

    def __init__(
        self,
        database: TestDatabase,
        *,
        concurrency: int = 2,
        loglevel: str = "INFO",
        ready: bool = True,
        include: Sequence[str] = (EXTRA_TASKS,),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._becomes_ready = ready
        node = f"worker-{uuid4().hex[:8]}@test"
        arguments = ["-m", "celery", "-A", "workerapp", "worker", "-I", ",".join(include), "-n", node]
        arguments += ["-c", str(concurrency), "-l", loglevel]
        super().__init__(node, arguments, shared_environment(database) | SHORT_WAITS | dict(environment or {}))

    def start(self) -> None:
        super().start()
        if self._becomes_ready:
            self.wait_for(rf"{self.name} ready\.$")


class Gateway(Process):
    """`gateway serve` on a port that stays the same over restarts."""

    def __init__(
        self, database: TestDatabase, *, ready: bool = True, environment: Mapping[str, str] | None = None
    ) -> None:
        self._becomes_ready = ready
        self.port = free_port()
        arguments = ["-m", "gateway.cli.main", "serve", "--port", str(self.port)]
        own = {
            "GATEWAY_TASK_ALLOW": ",".join((*CALLABLE_BY_NAME, "tests.*")),
            # What a worker has told of its tasks is known as soon as it is ready.
            "GATEWAY_TASK_TYPE_CACHE_SECONDS": "0",
            # A test of every route tries more wrong keys at once than anybody should.
            "GATEWAY_FAILED_ATTEMPTS_BURST": "10000",
        }
        super().__init__("gateway", arguments, shared_environment(database) | own | dict(environment or {}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        super().start()
        path = "/readyz" if self._becomes_ready else "/healthz"
        until(lambda: self._answers(path), START_SECONDS)

    def _answers(self, path: str) -> bool:
        self.assert_running()
        try:
            return httpx.get(self.url + path).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


class RecordedEndpoint(Process):
    """Answers with recorded model answers; faults as its options say."""

    def __init__(self, shared: Path, *options: str) -> None:
        self.port = free_port()
        tool = str(shared / "tools" / "recorded_endpoint.py")
        super().__init__("recorded endpoint", [tool, "--port", str(self.port), *options], {})

    def start(self) -> None:
        super().start()
        self.wait_for("recorded endpoint on")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"

    @property
    def echo_url(self) -> str:
        """Answers what it is sent."""
        return f"http://127.0.0.1:{self.port}/v1/messages-echo"

    @property
    def stats_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/stats"


def free_port() -> int:
    """A port that nobody has, and that no outgoing connection is given before it is listened on."""
    while True:
        # Not of the sequence that every process of the suite draws from.
        port = SystemRandom().randrange(*_BELOW_THOSE_OF_CONNECTIONS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
