"""`python -m tests.webhook_faults`: breaks workers and Postgres while they send webhooks to receivers of every manner.

It does so for minutes, and tells what became of each delivery; the days that the schedule takes are not waited for.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.webhook_faults.session import Options, fault_run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.webhook_faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--outage", type=float, default=5, help="seconds that Postgres is away (default: 5)")
    parser.add_argument("--timeout", type=float, default=1, help="seconds that a receiver may take (default: 1)")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    options = Options(
        seed=given.seed,
        seconds=given.minutes * 60,
        outage=given.outage,
        timeout=given.timeout,
        workers=given.workers,
    )
    report = fault_run(options)
    print("\n".join(report.fault_log))
    print(report)
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
