"""`python -m tests.clients`: generates the clients of `openapi.yaml` into `clients/`, as far as there are the tools."""

from __future__ import annotations

import sys

from tests.clients.generation import GENERATORS, Complaint, ToolMissing, generate
from tests.stack.process import ROOT


def main() -> int:
    status = 0
    for language in GENERATORS:
        try:
            print(f"{language}: {generate(language).relative_to(ROOT)}")
        except ToolMissing as missing:
            print(f"{language}: skipped, for {missing}")
        except Complaint as complaint:
            status = 1
            print(f"{language}: {complaint}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
