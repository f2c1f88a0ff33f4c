"""`python -m tests.soak`: clients come and go while writers write and everything breaks; then both are compared."""

from __future__ import annotations

import argparse
import random
import sys

from tests.soak.faults import Fault
from tests.soak.session import Options, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--events", type=int, default=100_000, help="to be written, at least")
    parser.add_argument("--resumes", type=int, default=1_000, help="of streams, at least")
    parser.add_argument("--rounds", type=int, default=5, help="how often each kind of fault comes")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    faults = dict.fromkeys(Fault, given.rounds)
    report = soak(Options(seed=given.seed, events=given.events, resumes=given.resumes, faults=faults))
    print("\n".join(report.fault_log))
    print(report)
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
