"""`python -m tests.bench.runs`: tests a second of a run, next to a bare aiohttp loop and the origin's shape.

All ask the same application, which costs next to nothing, and take turns on this machine. The bare loop keeps nothing;
a run stores every result and tells of it in events. The origin's shape is one Celery task a test, on the stock broker
and backend, with httpx. Ratios travel to other machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from celery import chord
from rich.console import Console
from rich.table import Table

from tests.bench.__main__ import LONG_WAITS, _plain_database, _server
from tests.bench.origin_measures import OriginWorker
from tests.postgres import TestDatabase, copied_database, migrated_template
from tests.stack.client import FINAL, Client, new_client
from tests.stack.process import Process, peak_megabytes
from tests.stack.services import Gateway, Worker, free_port
from tests.waiting import until

BARE, OURS, ORIGIN = "bare loop", "gateway", "origin's shape"
#: As its page starts its worker.
ORIGIN_CHILDREN = 8
PATIENCE = 600.0


@dataclass(kw_only=True)
class Figures:
    """What was measured: tests a second by latency and side, and of our runs by their number of tests."""

    rates: dict[tuple[float, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu_microseconds: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    peak_megabytes: dict[int, float] = field(default_factory=dict)
    first_request_ms: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))


class FastEndpoint(Process):
    """The application under test, which answers after so many milliseconds."""

    def __init__(self, latency_ms: float) -> None:
        self.port = free_port()
        arguments = ["-m", "tests.bench.fast_endpoint", str(self.port), str(latency_ms)]
        super().__init__("fast endpoint", arguments, {})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        super().start()
        self.wait_for("fast endpoint ready")

    def first_request(self) -> float | None:
        """When the first request since the last call came, by the clock all processes share."""
        return httpx.get(self.url).json()["first"]  # type: ignore[no-any-return]


class Ours:
    """A gateway, and a worker started anew for every figure, so that its memory is that of one run."""

    def __init__(self, database: TestDatabase, client: Client, options: argparse.Namespace) -> None:
        self._database, self._client, self._options = database, client, options

    def run(self, endpoint: FastEndpoint, test_set_id: str, tests: int, figures: Figures, latency_ms: float) -> None:
        worker = Worker(
            self._database, concurrency=self._options.children, loglevel="WARNING", ready=False, environment=LONG_WAITS
        )
        configuration = self._configuration(endpoint, test_set_id)
        with worker:
            # The first task of a child imports and connects: the workers of a service have done so.
            self._ended(self._client.execute(self._warm(endpoint)))
            endpoint.first_request()
            began, spent = time.monotonic(), _cpu_seconds(worker)
            run = self._ended(self._client.execute(configuration))
            assert (run["status"], run["passed"]) == ("completed", tests), run
            figures.rates[latency_ms, OURS].append(tests / run["duration_seconds"])
            figures.cpu_microseconds[tests].append((_cpu_seconds(worker) - spent) / tests * 1_000_000)
            first = endpoint.first_request()
            assert first is not None
            figures.first_request_ms[tests].append((first - began) * 1000)
            peak = max(map(peak_megabytes, worker.children()))
            figures.peak_megabytes[tests] = max(peak, figures.peak_megabytes.get(tests, 0.0))

    def test_set(self, tests: int) -> str:
        lines = "".join(f'{{"input": "question {number}", "expected": "ok"}}\n' for number in range(tests))
        created = self._client.post("/v1/test-sets", {"name": f"{tests} questions"})
        answer = self._client.http.post(
            f"/v1/test-sets/{created['id']}/import",
            content=lines,
            headers={"Content-Type": "application/x-ndjson"},
            timeout=PATIENCE,
        )
        answer.raise_for_status()
        return str(created["id"])

    def _ended(self, run_id: str) -> dict[str, Any]:
        """The run when it has ended; nobody reads its stream, which would be paid for by the same cores."""
        while True:
            answer = self._client.http.get(f"/v1/test-runs/{run_id}", headers={"Prefer": "wait=30"})
            answer.raise_for_status()
            run: dict[str, Any] = answer.json()
            if run["status"] in FINAL:
                return run

    def _warm(self, endpoint: FastEndpoint) -> str:
        tests = [{"input": f"{number}", "expected": "ok"} for number in range(1000)]
        return self._configuration(endpoint, self._client.post("/v1/test-sets", {"name": "w", "tests": tests})["id"])

    def _configuration(self, endpoint: FastEndpoint, test_set_id: str) -> str:
        asked = {"name": "fast", "url": endpoint.url, "request": {"question": "{{ input }}"}}
        endpoint_id = self._client.post("/v1/endpoints", asked)["id"]
        body: dict[str, Any] = {"name": "fast", "endpoint_id": endpoint_id, "test_set_id": test_set_id}
        body |= {"concurrency": self._options.concurrency, "metrics": [{"type": "equals"}]}
        return str(self._client.post("/v1/test-configurations", body)["id"])


def measure(options: argparse.Namespace) -> Figures:
    """Every figure. The sides take turns, so that what else the machine does falls on all of them."""
    figures = Figures()
    with _gateway(options) as ours:
        test_set_id = ours.test_set(options.tests)
        for latency_ms in options.latencies:
            with FastEndpoint(latency_ms) as endpoint:
                for _ in range(options.repeat):
                    figures.rates[latency_ms, BARE].append(_bare(endpoint, options))
                    ours.run(endpoint, test_set_id, options.tests, figures, latency_ms)
        if options.large:
            large = ours.test_set(options.large)
            with FastEndpoint(0) as endpoint:
                for _ in range(options.repeat):
                    ours.run(endpoint, large, options.large, figures, 0.0)
    if not options.without_origin:
        _measure_origin(options, figures)
    return figures


def _bare(endpoint: FastEndpoint, options: argparse.Namespace) -> float:
    arguments = ["-m", "tests.bench.bare_loop", endpoint.url, str(options.tests), str(options.concurrency)]
    with Process("bare loop", arguments, {}) as loop:
        return float(loop.wait_for(r"^([\d.]+) a second$", PATIENCE).group(1))


def _measure_origin(options: argparse.Namespace, figures: Figures) -> None:
    with _server() as server, _plain_database(server) as url:
        os.environ["ORIGIN_URL"] = url
        tasks = importlib.import_module("tests.bench.origin").app.tasks
        for latency_ms in options.latencies:
            with FastEndpoint(latency_ms) as endpoint, OriginWorker(url, ORIGIN_CHILDREN):
                header = [tasks["origin.run_test"].s(endpoint.url, number) for number in range(options.origin_tests)]
                result = chord(header)(tasks["origin.span"].s())
                until(result.ready, seconds=PATIENCE, pause=0.2)
                figures.rates[latency_ms, ORIGIN].append(options.origin_tests / result.get())


@contextmanager
def _gateway(options: argparse.Namespace) -> Iterator[Ours]:
    quiet = {"GATEWAY_LOG_LEVEL": "WARNING"}
    with (
        _server() as server,
        migrated_template(server) as template,
        copied_database(server, template) as database,
        Gateway(database, environment=quiet, ready=False) as gateway,
        new_client(database, gateway.url, "bench") as client,
    ):
        yield Ours(database, client, options)


def _cpu_seconds(worker: Worker) -> float:
    """What the processes that execute tests have used so far; of fields 14 and 15 in `man 5 proc`."""
    ticks = 0
    for child in worker.children():
        fields = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def show(figures: Figures, options: argparse.Namespace) -> None:
    """Print what was measured."""
    rates = Table(title=f"tests a second, {options.tests:,} tests, concurrency {options.concurrency}: medians")
    for heading in ("latency", BARE, OURS, "of the bare loop", "of concurrency / latency", ORIGIN):
        rates.add_column(heading, justify="right")
    for latency_ms in options.latencies:
        bare, ours = (statistics.median(figures.rates[latency_ms, side]) for side in (BARE, OURS))
        most = options.concurrency / latency_ms * 1000 if latency_ms else None
        origin = figures.rates.get((latency_ms, ORIGIN))
        rates.add_row(
            f"{latency_ms:g} ms",
            f"{bare:,.0f}",
            f"{ours:,.0f}",
            f"{ours / bare:.0%}",
            "" if most is None else f"{ours / most:.0%}",
            f"{origin[0]:,.0f}" if origin else "",
        )
    runs = Table(title="one run")
    for heading in (
        "tests",
        "submit to first request, ms",
        "worker's CPU a test, µs",
        "most memory of its processes, MB",
    ):
        runs.add_column(heading, justify="right")
    for tests, times in figures.first_request_ms.items():
        cpu = statistics.median(figures.cpu_microseconds[tests])
        row = (f"{tests:,}", f"{statistics.median(times):,.0f}", f"{cpu:.0f}", f"{figures.peak_megabytes[tests]:.0f}")
        runs.add_row(*row)
    console = Console(width=120)
    console.print(rates)
    console.print(runs)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.runs", description=__doc__)
    parser.add_argument("--tests", type=int, default=10_000, help="tests of a run (default: 10,000)")
    parser.add_argument("--large", type=int, default=100_000, help="tests of the large run; 0: none (default: 100,000)")
    parser.add_argument("--concurrency", type=int, default=100, help="requests at once (default: 100)")
    parser.add_argument("--children", type=int, default=4, help="processes of our worker (default: 4)")
    parser.add_argument("--latencies", type=float, nargs="+", default=[0, 50], help="milliseconds (default: 0 50)")
    parser.add_argument("--repeat", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--origin-tests", type=int, default=1000, help="tests of the origin's shape (default: 1,000)")
    parser.add_argument("--without-origin", action="store_true", help="leave the origin's shape out")
    options = parser.parse_args()
    show(measure(options), options)


if __name__ == "__main__":
    main()
