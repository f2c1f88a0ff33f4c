"""`python -m tests.fuzz`: one organization sends requests of every kind, with the ids of another one in them."""

from __future__ import annotations

import argparse
import random
import sys

from tests.fuzz.session import fuzz, fuzz_operations
from tests.postgres import ServerKind, copied_database, migrated_template, running_server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=10, help="rounds begin for so long")
    parser.add_argument("--count", type=int, default=10, help="requests of each kind to an operation in a round")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with (
        running_server(ServerKind.EMBEDDED) as server,
        migrated_template(server) as template,
        copied_database(server, template) as database,
    ):
        strangers = fuzz(database, seed=given.seed, count=given.count, seconds=given.minutes * 60)
        operators = fuzz_operations(database, seed=given.seed, count=given.count)
    print(strangers, operators, sep="\n")
    return 1 if strangers.wrong or operators.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
