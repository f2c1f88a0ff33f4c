"""One series of restarts under load, from its start to its report."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.faults import checks
from tests.faults.stack import Stack, running_stack
from tests.records import connect
from tests.rolling.load import Load, Size
from tests.rolling.report import Report
from tests.rolling.restarts import Restarter
from tests.soak.truth import Difference, Stored, difference, read_truth
from tests.stack.proxy import Nginx, nginx_program
from tests.waiting import until

EXECUTED_AGAIN = "executed_again"


@dataclass(frozen=True, kw_only=True)
class Options:
    seed: int
    #: How often each process is restarted.
    rounds: int
    #: SIGKILL to the gateways, and nothing to the workers.
    kills: bool = False
    #: Seconds between two restarts, give or take a half.
    pause: float = 2.0
    #: What `GATEWAY_STREAM__RETRY` tells streams to wait.
    retry: float = 3.0
    #: Seconds until all is quiet when nothing is submitted any more.
    settle: float = 120
    size: Size = field(default_factory=Size)


def rolling(options: Options) -> Report:
    """Restart while callers call, and compare; keeps the logs of what did not go well."""
    nginx_program()
    folder = Path(tempfile.mkdtemp(prefix=f"gwrolling-{options.seed}-"))
    folder.chmod(0o755)
    environment = {"GATEWAY_STREAM__RETRY": f"{options.retry:g}"}
    with running_stack(
        folder, broker="postgres", gateways=2, workers=2, patience=30, gateways_environment=environment
    ) as stack:
        for gateway in stack.gateways:
            until(lambda gateway=gateway: gateway._answers("/readyz"), 60)
        (folder / "nginx").mkdir(mode=0o755)
        with Nginx(folder / "nginx", [gateway.port for gateway in stack.gateways]) as proxy:
            report = _run(stack, proxy.url, options)
        for process in stack.processes:
            stack.keep_output(process)
    if report.is_good or options.kills:
        shutil.rmtree(folder)
    else:
        print(f"what the processes said, and the database, are kept in {folder}")
    return report


def _run(stack: Stack, url: str, options: Options) -> Report:
    began = time.monotonic()
    restarter = Restarter(stack, random.Random(options.seed), pause=options.pause, kills=options.kills)
    load = Load(url, stack.key, stack.endpoint.url, options.size)

    async def restart() -> None:
        for _ in range(options.rounds):
            await asyncio.to_thread(restarter.restart_all)

    asyncio.run(load.run(restart, lambda: len(_quiet_log(stack, options.settle))))
    with connect(stack.postgres.address) as admin:
        rows = read_truth(admin)
        found = _found(admin, load)
    if options.kills:
        # A submission that arrived and was not answered is one that failed.
        found = {name: texts for name, texts in found.items() if not name.startswith("unasked_")}
    again = len(found.pop(EXECUTED_AGAIN))
    return Report(
        seed=options.seed,
        seconds=time.monotonic() - began,
        restarts=restarter.log,
        requests=load.requests.count,
        failures=load.requests.failures,
        slowest=load.requests.slowest,
        slowest_name=load.requests.slowest_name,
        tasks=len(load.ledger.tasks),
        runs=len(load.ledger.runs),
        streams=len(load.streams),
        resumptions=sum(stream.resumptions for stream in load.streams),
        ends=sum((stream.ends for stream in load.streams), Counter()),
        longest_gap=max(stream.longest_gap for stream in load.streams),
        events=len(rows),
        deliveries=sum(stream.told.count for stream in load.streams),
        difference=_difference(load, rows),
        executed_again=again,
        problems=[f"{name}: {text}" for name, texts in found.items() for text in texts],
    )


def _quiet_log(stack: Stack, seconds: float) -> list[Stored]:
    with connect(stack.postgres.address) as admin:
        until(lambda: admin.execute(checks.QUIET).fetchone() == (True,), seconds, pause=0.1)
        return read_truth(admin)


def _found(admin: psycopg.Connection, load: Load) -> dict[str, list[str]]:
    """What is wrong in the tables, by name of the check."""
    queries = {**checks.statements(), **checks.statements(Path(__file__).with_name("checks.sql"))}
    return checks.found_by(admin, queries, chords=[], tasks=load.ledger.tasks, runs=load.ledger.runs)


def _difference(load: Load, rows: Sequence[Stored]) -> Difference:
    """Of all streams: each is compared with what the table has of it."""
    found = Difference()
    for stream in load.streams:
        wanted = rows if stream.is_of_everything else [row for row in rows if row.subject == stream.subject]
        found += difference(stream.told, wanted)
    return found
