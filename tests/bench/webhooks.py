"""`python -m tests.bench.webhooks`: webhooks a second, with and without receivers that hang, and their cost.

Rounds with and without the hanging ones take turns. Ratios travel to other machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import psycopg
from rich.console import Console
from rich.table import Table

from tests.bench.__main__ import LONG_WAITS, _server
from tests.postgres import TestDatabase, copied_database, migrated_template
from tests.records import add_configuration, add_organization, connect, plan_run
from tests.stack.process import Process
from tests.stack.services import Worker, free_port
from tests.waiting import until
from tests.webhooks import subscribe
from workerapp.contract.events import EVENT_CHANNEL

PATIENCE = 600.0
WITH, WITHOUT = "with those that hang", "without"
#: Of each endpoint, at once.
PLACES = 10
QUEUE = """
INSERT INTO webhook_delivery (organization_id, webhook_endpoint_id, event_type, subject_id, payload, next_attempt_at)
SELECT e.organization_id, e.id, 'test_run.completed', '1',
       webhook_payload('test_run.completed', e.organization_id, '1', 7, now(),
                       jsonb_build_object('test_run_id', gen_random_uuid(), 'status', 'completed', 'passed', 200)),
       now() + %(due)s * interval '1 second'
FROM generate_series(1, %(count)s) CROSS JOIN webhook_endpoint e WHERE e.id = ANY (%(endpoints)s)
"""
#: Those that hang are not known for it yet; the others are known to be quick.
FORGET = """
UPDATE webhook_endpoint e SET quick = h.quick, places = CASE WHEN h.quick THEN %s ELSE 1 END, failing_since = NULL
FROM (SELECT id, CASE WHEN url NOT LIKE '%%/hang/%%' THEN true END AS quick FROM webhook_endpoint) h WHERE h.id = e.id
"""
MISTAKEN = "SELECT count(*) FROM webhook_endpoint WHERE quick IS FALSE AND url NOT LIKE '%/hang/%'"
TAKE = "SELECT count(*) FROM webhook_take(500, 125, %s, interval '45 seconds', 10)"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Rates by side, and milliseconds."""

    rates: Mapping[str, Sequence[float]]
    latencies: Sequence[float]
    #: By how many endpoints are told.
    settling: Mapping[int, Sequence[float]]
    #: By what waits.
    taking: Mapping[str, Sequence[float]]


class Receivers(Process):
    """All endpoints' receivers."""

    def __init__(self) -> None:
        self.port = free_port()
        super().__init__("receivers", ["-m", "tests.bench.webhook_receivers", str(self.port)], {})
        self._http = httpx.Client(timeout=PATIENCE)

    def start(self) -> None:
        super().start()
        self.wait_for("receivers ready")

    def look(self) -> tuple[list[float], int]:
        """When webhooks were answered since the last look, and how many hang now."""
        answer = self._http.get(f"http://127.0.0.1:{self.port}/").json()
        return answer["times"], answer["hanging"]

    def await_times(self, count: int) -> list[float]:
        times: list[float] = []

        def look() -> bool:
            times.extend(self.look()[0])
            return len(times) >= count

        until(look, PATIENCE, 0.1)
        return times


@dataclass(frozen=True, kw_only=True)
class Estate:
    """An organization with its endpoints, each at an address of its own."""

    admin: psycopg.Connection
    organization_id: UUID
    healthy: Sequence[UUID]
    hanging: Sequence[UUID]

    def queue(self, endpoints: Sequence[UUID], count: int, due: float = 0.0) -> None:
        with self.admin.transaction():
            self.admin.execute(QUEUE, {"endpoints": list(endpoints), "count": count, "due": due})
            # As in a table that has long had rows; a cached plan for an empty one is replaced when this commits.
            self.admin.execute("ANALYZE webhook_delivery, webhook_endpoint")
            self.admin.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))

    def empty(self) -> None:
        self.admin.execute("TRUNCATE webhook_delivery CASCADE")
        self.admin.execute(FORGET, (PLACES,))


def add_estate(admin: psycopg.Connection, port: int, endpoints: int, hanging: int) -> Estate:
    organization_id = add_organization(admin)
    made: dict[str, list[UUID]] = {"ok": [], "hang": []}
    with admin.transaction():
        for number in range(endpoints):
            kind = "hang" if number < hanging else "ok"
            url = f"http://127.1.{number // 250}.{number % 250 + 1}:{port}/{kind}/{number}"
            made[kind].append(subscribe(admin, organization_id, url, event_types=[]).id)
    return Estate(admin=admin, organization_id=organization_id, healthy=made["ok"], hanging=made["hang"])


def measure_rates(estate: Estate, receivers: Receivers, options: argparse.Namespace) -> dict[str, list[float]]:
    """Webhooks a second to those who answer, by whether the others are there."""
    rates = defaultdict(list)
    for number in range(options.repeat):
        for side in (WITH, WITHOUT) if number % 2 else (WITHOUT, WITH):
            estate.empty()
            # What hung in the last round is given up.
            until(lambda: receivers.look()[1] == 0, PATIENCE, 0.2)
            endpoints = [*estate.healthy, *estate.hanging] if side == WITH else estate.healthy
            estate.queue(endpoints, options.deliveries)
            times = receivers.await_times(len(estate.healthy) * options.deliveries)
            rates[side].append((len(times) - 1) / (max(times) - min(times)))
            mistaken = estate.admin.execute(MISTAKEN).fetchone()
            print(
                f"{side}: {rates[side][-1]:,.0f} a second; {mistaken and mistaken[0]} that answer are taken for slow;"
                f" load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    return rates


def measure_latency(estate: Estate, receivers: Receivers, options: argparse.Namespace) -> list[float]:
    """Milliseconds from the commit that queues a webhook until it is received, when nothing else is sent."""
    estate.empty()
    receivers.look()
    found, chance = [], random.Random(1)
    for _ in range(options.samples):
        time.sleep(chance.uniform(0.2, 1.5))
        estate.queue(estate.healthy[:1], 1)
        committed = time.monotonic()
        found.append((receivers.await_times(1)[0] - committed) * 1000)
    return found


def measure_settling(admin: psycopg.Connection, options: argparse.Namespace) -> dict[int, list[float]]:
    """Milliseconds that settling a run takes, by how many endpoints are told."""
    found = defaultdict(list)
    organizations = {count: add_organization(admin) for count in (0, 1, 10)}
    configurations = {}
    for count, organization_id in organizations.items():
        configurations[count] = add_configuration(admin, organization_id, tests=[])
        for _ in range(count):
            subscribe(admin, organization_id, "http://127.0.0.1:9/")
    for _, (count, organization_id) in itertools.product(range(options.samples), organizations.items()):
        run = plan_run(admin, organization_id, configurations[count])
        began = time.perf_counter()
        admin.execute("SELECT settle_run(%s)", (run.id,))
        found[count].append((time.perf_counter() - began) * 1000)
    return found


def measure_taking(estate: Estate, options: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds that a claim takes, by what waits."""
    endpoints = [*estate.healthy, *estate.hanging]
    each = options.pending // len(endpoints)
    found = {}
    for name, due, due_now, places in (
        ("all due", 0.0, 0, PLACES),
        ("all due, all places taken", 0.0, 0, 0),
        ("none due", 3600.0, 0, PLACES),
        ("one due", 3600.0, 1, PLACES),
    ):
        estate.empty()
        estate.queue(endpoints, each, due)
        estate.queue(endpoints[:1], due_now)
        if not places:
            estate.admin.execute("UPDATE webhook_endpoint SET places = 1")
            estate.admin.execute(
                "SELECT count(*) FROM webhook_take(100000, 100000, %s, interval '1 hour', 10)", (uuid4(),)
            )
        found[name] = [_take(estate.admin) for _ in range(options.takes)]
    return found


def _take(admin: psycopg.Connection) -> float:
    with admin.transaction(force_rollback=True):
        began = time.perf_counter()
        admin.execute(TAKE, (uuid4(),))
        return (time.perf_counter() - began) * 1000


@contextmanager
def _database() -> Iterator[TestDatabase]:
    with _server() as server, migrated_template(server) as template, copied_database(server, template) as database:
        yield database


def measure(options: argparse.Namespace) -> Figures:
    """Every figure."""
    with _database() as database, Receivers() as receivers, connect(database.admin_url) as admin:
        hanging = round(options.endpoints * options.hanging)
        estate = add_estate(admin, receivers.port, options.endpoints, hanging)
        with Worker(database, concurrency=1, loglevel="WARNING", environment=LONG_WAITS, ready=False):
            rates = measure_rates(estate, receivers, options)
            latencies = measure_latency(estate, receivers, options)
        return Figures(
            rates=rates,
            latencies=latencies,
            settling=measure_settling(admin, options),
            taking=measure_taking(estate, options),
        )


def show(figures: Figures, options: argparse.Namespace) -> None:
    """Print what was measured."""
    rates = Table(title=f"webhooks a second to those of {options.endpoints:,} endpoints that answer: medians")
    for heading in (WITHOUT, f"{WITH}, {options.hanging:.0%}", "of that"):
        rates.add_column(heading, justify="right")
    ratio = statistics.median(
        one / other for one, other in zip(figures.rates[WITH], figures.rates[WITHOUT], strict=True)
    )
    without, with_them = (statistics.median(figures.rates[side]) for side in (WITHOUT, WITH))
    rates.add_row(f"{without:,.0f}", f"{with_them:,.0f}", f"{ratio:.0%}")
    costs = Table(title="milliseconds")
    for heading in ("what", "median", "p99"):
        costs.add_column(heading, justify="left" if heading == "what" else "right")
    costs.add_row("from queueing to receipt, when idle", *_spread(figures.latencies))
    for count, times in figures.settling.items():
        costs.add_row(f"settle a run that {count} endpoints are told of", *_spread(times))
    for what, times in figures.taking.items():
        costs.add_row(f"claim of {options.pending:,} pending, {what}", *_spread(times))
    console = Console(width=120)
    console.print(rates)
    console.print(costs)


def _spread(times: Sequence[float]) -> tuple[str, str]:
    ordered = sorted(times)
    return f"{statistics.median(ordered):,.1f}", f"{ordered[int((len(ordered) - 1) * 0.99)]:,.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.webhooks", description=__doc__)
    parser.add_argument("--endpoints", type=int, default=1000, help="how many there are (default: 1,000)")
    parser.add_argument("--hanging", type=float, default=0.1, help="which part of them hangs (default: 0.1)")
    parser.add_argument("--deliveries", type=int, default=20, help="of each endpoint in a round (default: 20)")
    parser.add_argument("--repeat", type=int, default=5, help="rounds of each side (default: 5)")
    parser.add_argument("--samples", type=int, default=100, help="how often latencies are measured (default: 100)")
    parser.add_argument("--pending", type=int, default=100_000, help="that a claim looks through (default: 100,000)")
    parser.add_argument("--takes", type=int, default=20, help="how often a claim is measured (default: 20)")
    options = parser.parse_args()
    show(measure(options), options)


if __name__ == "__main__":
    main()
