"""One fault run from its start to its report."""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.faults import checks
from tests.faults.faults import Injector
from tests.faults.load import Load
from tests.faults.report import Report, evidence
from tests.faults.stack import Stack, running_stack

RUNS = "SELECT count(*) FROM test_run"
TESTS = "SELECT coalesce(sum(planned), 0) FROM test_run"
LOST = "SELECT (SELECT coalesce(sum(planned), 0) FROM test_run) - count(*) FROM test_result WHERE status <> 'pending'"
DUPLICATED = (
    "SELECT count(*) - count(DISTINCT (subject_id, data->>'position')) FROM task_event"
    " WHERE type = 'test_result.finished'"
)
REPLACED = "SELECT count(*) FROM task WHERE name = 'run_lane' AND state = 'FAILURE'"
EXECUTED_AGAIN = "SELECT count(*) - count(DISTINCT (task_id, task)) FROM faults.execution"


@dataclass(frozen=True, kw_only=True)
class Options:
    seed: int
    #: Of breaking things; each kind of fault comes once at least, however long that takes.
    seconds: float
    #: How long Postgres is away for the first time.
    outage: float
    #: How long it may take until all is quiet.
    settle: float = 120
    #: Between two faults at most.
    pause: float = 4
    gateways: int = 2
    workers: int = 2
    #: postgres, rabbitmq or redis
    broker: str = "postgres"


def fault_run(options: Options) -> Report:
    """Break things while work is submitted, wait until all is quiet, and check; keeps the logs of a run that failed."""
    folder = Path(tempfile.mkdtemp(prefix=f"gwfaults-{options.seed}-"))
    folder.chmod(0o755)
    patience = min(30.0, options.outage / 2)
    size = {"gateways": options.gateways, "workers": options.workers}
    with running_stack(folder, broker=options.broker, patience=patience, **size) as stack:
        try:
            report = _run(stack, options)
        finally:
            for process in stack.processes:
                stack.keep_output(process)
    if report.is_good:
        shutil.rmtree(folder)
    else:
        print("\n".join(evidence(folder, report)))
        print(f"what the processes said, and the database, are kept in {folder}")
    return report


def _run(stack: Stack, options: Options) -> Report:
    over = threading.Event()
    load = Load(stack, over)
    injector = Injector(stack, load, seed=options.seed, outage=options.outage, longest_pause=options.pause)
    load.start()
    try:
        injector.inject(options.seconds)
        load.enough()
        load.join(options.settle)
        settled_after = checks.wait_until_quiet(stack, load.ledger, options.settle)
    finally:
        over.set()
    for watcher in load.ledger.watchers:
        watcher.join(30)
    return _report(stack, load, injector, options, settled_after)


def _report(stack: Stack, load: Load, injector: Injector, options: Options, settled_after: float | None) -> Report:
    problems = checks.problems(stack, load.ledger)
    if load.problem is not None:
        problems["load"] = [load.problem]
    if settled_after is None:
        problems["settle"] = [f"it was not quiet {options.settle:g} seconds after the last fault"]
    with stack.connect() as admin:
        return Report(
            seed=options.seed,
            broker=options.broker,
            faults=injector.injected,
            fault_log=injector.log,
            runs=checks.count(admin, RUNS),
            tests=checks.count(admin, TESTS),
            lost=checks.count(admin, LOST),
            duplicated=checks.count(admin, DUPLICATED),
            chords=len(load.ledger.chords),
            tasks=len(load.ledger.tasks),
            lanes_replaced=checks.count(admin, REPLACED),
            executed_again=checks.count(admin, EXECUTED_AGAIN),
            watched_events=sum(len(watcher.events) for watcher in load.ledger.watchers),
            connections_resumed=sum(watcher.resumed for watcher in load.ledger.watchers),
            settled_after=settled_after,
            problems=problems,
        )
