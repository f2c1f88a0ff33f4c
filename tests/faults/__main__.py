"""`python -m tests.faults`: breaks a deployment at random for minutes, and tells what came of its runs."""

from __future__ import annotations

import argparse
import random
import sys

from tests.faults.session import Options, fault_run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--outage", type=float, default=60, help="seconds that Postgres is away the first time")
    parser.add_argument("--settle", type=float, default=180, help="seconds it may take until all is quiet")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--broker", choices=["postgres", "rabbitmq", "redis"], default="postgres")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    report = fault_run(
        Options(
            seed=given.seed,
            seconds=given.minutes * 60,
            outage=given.outage,
            settle=given.settle,
            workers=given.workers,
            broker=given.broker,
        )
    )
    print("\n".join(report.fault_log))
    print(report)
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
