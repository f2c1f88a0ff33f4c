"""What works behind the gateway: workers, the sweeper that one of them runs, and the queues they consume."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.doctor.finding import Finding, ok, problem, skipped, warning
from gateway.doctor.setup import Connection, Setup

ROLE = "gateway_rw"
_START = "start one: `celery -A workerapp worker`, or deploy/start-worker.sh"
_REASON = 200
#: A worker tells when it started by its own clock, and the database when it reported by its own.
_AHEAD_SECONDS = 2.0
_BACKLOG_SECONDS = 60.0

_WORKERS = """
SELECT node, is_alive, concurrency, queues, extract(epoch FROM started_at - seen_at)::float AS ahead
FROM admin_workers(make_interval(secs => %s)) ORDER BY node
"""
_SWEEPER = """
SELECT step, error, failed_at = swept_at AS is_failing, extract(epoch FROM now() - swept_at)::float AS age
FROM admin_sweeper() ORDER BY step
"""
_QUEUES = """
SELECT queue, ready, consumers, extract(epoch FROM now() - oldest_ready_at)::float AS waits
FROM admin_queues(make_interval(secs => %s), 0) ORDER BY queue
"""


def look_at_workers(setup: Setup) -> Iterable[Finding]:
    """Whether there is one, and whether its clock is the database's."""
    with setup.serving_connection(ROLE) as connection:
        rows = connection.execute(_WORKERS, (setup.settings.worker_dead_seconds,)).fetchall()
    alive = [row for row in rows if row["is_alive"]]
    for row in rows:
        if not row["is_alive"]:
            yield warning(
                f"the worker {row['node']} has stopped reporting",
                "see its log and start it again; a worker that is gone for good is forgotten in a few minutes",
            )
        elif row["ahead"] > _AHEAD_SECONDS:
            yield warning(
                f"the clock of the worker {row['node']} is ahead of the database's by {row['ahead']:.0f} seconds",
                "let its machine take its time from NTP (`timedatectl set-ntp true`)",
            )
    if not alive:
        yield warning("there is no worker: what is submitted waits", _START)
    elif not any(setup.settings.default_queue in row["queues"] for row in alive):
        yield warning(f"no worker consumes the default queue, {setup.settings.default_queue}", _START)
    else:
        yield ok(f"{len(alive)} workers, {sum(row['concurrency'] for row in alive)} tasks at once")


def look_at_sweeper(setup: Setup) -> Iterable[Finding]:
    """Whether it sweeps, and which of its steps fail."""
    with setup.serving_connection(ROLE) as connection:
        rows = connection.execute(_SWEEPER).fetchall()
        has_worker = _has_worker(connection, setup)
    if not has_worker:
        yield skipped("the sweeper is part of a worker, and there is none", _START)
        return
    late = 12 * setup.worker.sweep_pause_seconds
    ages = [row["age"] for row in rows]
    if not ages or min(ages) > late:
        yield problem(
            f"workers are alive, and none has swept for {min(ages):.0f} seconds"
            if ages
            else "no worker has ever swept",
            "see the workers' logs for sweeper_without_database and sweep_step_failed",
        )
        return
    # A step that this version no longer has keeps the row of its last time.
    failing = [row for row in rows if row["is_failing"] and row["age"] <= late + setup.worker.prune_pause_seconds]
    for row in failing:
        yield problem(
            f"the sweeper's step {row['step']} fails: {(row['error'] or '')[:_REASON]}",
            "see the workers' logs for sweep_step_failed; after an upgrade run `gateway migrate`",
        )
    if not failing:
        yield ok(f"the sweeper last swept {min(ages):.0f} seconds ago, and no step fails")


def look_at_queues(setup: Setup) -> Iterable[Finding]:
    """Whether what waits is consumed, and soon."""
    with setup.serving_connection(ROLE) as connection:
        rows = connection.execute(_QUEUES, (setup.settings.worker_dead_seconds,)).fetchall()
    fine = True
    for row in rows:
        if row["ready"] and not row["consumers"]:
            fine = False
            yield warning(
                f"{row['ready']} messages wait in the queue {row['queue']}, which no worker consumes",
                f"start one: `celery -A workerapp worker -Q {row['queue']}`, or `gateway admin purge {row['queue']}`",
            )
        elif row["ready"] and row["waits"] > _BACKLOG_SECONDS:
            fine = False
            yield warning(
                f"{row['ready']} messages wait in the queue {row['queue']}, the oldest for {row['waits']:.0f} seconds",
                "start more workers, or raise CELERY_WORKER_CONCURRENCY; `gateway tasks` shows what is executed",
            )
    if fine:
        yield ok(
            f"{sum(row['ready'] for row in rows)} messages wait, and somebody consumes them" if rows else "no queue yet"
        )


def _has_worker(connection: Connection, setup: Setup) -> bool:
    rows = connection.execute(_WORKERS, (setup.settings.worker_dead_seconds,)).fetchall()
    return any(row["is_alive"] for row in rows)
