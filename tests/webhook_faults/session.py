"""One fault run of webhooks from its start to its report."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.webhook_faults.faults import STOPPED, Injector
from tests.webhook_faults.passing import Time
from tests.webhook_faults.report import Report
from tests.webhook_faults.stack import Stack, running_stack
from tests.webhook_faults.truth import Account, problems, read_deliveries, read_disabled
from workerapp.settings import WorkerSettings

#: How much a sender may grow, whatever it is sent; what endless answers pour is many times that.
MOST_MEGABYTES = 100


@dataclass(frozen=True, kw_only=True)
class Options:
    seed: int
    #: Of breaking things; each kind of fault comes once at least, however long that takes.
    seconds: float
    #: How long Postgres is away.
    outage: float
    #: How long a receiver may take.
    timeout: float
    #: Between attempts, in seconds; they are not waited for.
    delays: Sequence[float] = WorkerSettings.model_fields["webhook_retry_delays"].default
    #: How long it may take until nothing is left to do now.
    patience: float = 120
    #: Kinds of faults that are left out.
    without: Collection[str] = ()
    workers: int = 2


def fault_run(options: Options) -> Report:
    """Break things while webhooks are sent, until all have ended, and check; keeps what a bad run left."""
    folder = Path(tempfile.mkdtemp(prefix=f"gwwebhooks-{options.seed}-"))
    folder.chmod(0o755)
    size = {"workers": options.workers, "seed": options.seed}
    with running_stack(folder, timeout=options.timeout, delays=options.delays, **size) as stack:
        report = _run(stack, options)
        for worker in stack.workers:
            worker.kill()
            (folder / f"{worker.name}.log").write_text("\n".join(worker.lines("")))
    if report.is_good:
        shutil.rmtree(folder)
    else:
        print(f"what the workers said, and the database, are kept in {folder}")
    return report


def _run(stack: Stack, options: Options) -> Report:
    lease = options.timeout + 30
    passing = Time(stack, seed=options.seed, lease=lease, patience=options.patience)
    injector = Injector(stack, passing, seed=options.seed, outage=options.outage, without=options.without)
    stack.settle_runs(1)
    injector.inject(options.seconds)
    passing.pass_all()
    for worker in stack.workers:
        stack.weigh(worker)
    with stack.connect() as admin:
        account = Account(
            deliveries=read_deliveries(admin),
            manners={str(endpoint.id): endpoint.manner for endpoint in stack.endpoints},
            disabled=read_disabled(admin),
            runs={run: str(callback) for run, callback in stack.runs.items()},
            bodies=stack.receivers.received,
            accepted=stack.receivers.accepted,
            attempts=len(options.delays) + 1,
            stops=injector.injected[STOPPED],
        )
    return _report(stack, injector, account, passing.hours, options)


def _report(stack: Stack, injector: Injector, account: Account, hours: float, options: Options) -> Report:
    receivers = stack.receivers
    found = problems(account)
    if receivers.unverified:
        found["signatures"] = receivers.unverified
    if receivers.redirected:
        found["redirects"] = ["a redirect was followed"]
    if stack.grown_megabytes > MOST_MEGABYTES:
        found["memory"] = [f"a worker grew by {stack.grown_megabytes:.0f} MB"]
    return Report(
        seed=options.seed,
        faults=injector.injected,
        fault_log=injector.log,
        runs=len(stack.runs),
        ends=Counter(one.status for one in account.deliveries),
        attempts=sum(one.attempts for one in account.deliveries),
        interrupted=sum(one.interrupted for one in account.deliveries),
        requests=sum(map(len, account.bodies.values())),
        repeated=sum(max(count - 1, 0) for count in account.accepted.values()),
        disabled=sum(account.disabled.values()),
        redirected=receivers.redirected,
        hours=hours,
        poured_megabytes=receivers.poured / 1e6,
        grown_megabytes=stack.grown_megabytes,
        problems=found,
    )
