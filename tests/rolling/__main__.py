"""`python -m tests.rolling`: restarts gateways and workers behind nginx while callers call, and tells what they saw."""

from __future__ import annotations

import argparse
import random
import sys

from tests.rolling.session import Options, rolling


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rolling", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--rounds", type=int, default=5, help="how often each process is restarted")
    parser.add_argument("--kill", action="store_true", help="SIGKILL to gateways: what do callers see then?")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    report = rolling(Options(seed=given.seed, rounds=given.rounds, kills=given.kill))
    print(report)
    return 0 if report.is_good or (given.kill and report.is_complete) else 1


if __name__ == "__main__":
    sys.exit(main())
