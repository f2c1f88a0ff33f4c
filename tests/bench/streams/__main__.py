"""`python -m tests.bench.streams`: what a delivery costs the gateway, next to other servers doing the same.

Every server is a process of its own and all are up at once; they are measured in turn, round after round, so that what
else the machine does falls on all of them. Ratios travel to other machines; absolute figures do not.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.bench.streams import nchan
from tests.bench.streams.contest import Open, assembled, compete
from tests.bench.streams.load import LoadFailed, compile_load
from tests.bench.streams.ours import OurGateway
from tests.bench.streams.report import as_json, show
from tests.bench.streams.servers import KINDS
from tests.bench.streams.subjects import OwnPublisher
from tests.bench.streams.window import Case
from tests.postgres import ServerKind, TestDatabase, copied_database, migrated_template, running_server

NAMES = ("gateway", "gateway-tasks", "organization", *KINDS, "nchan")
BY_DEFAULT = ("gateway", *KINDS, "nchan")
CLIENTS_PER_TASK = 10
#: Of a process, beside its clients.
OTHER_FILES = 200


def main() -> None:
    options = _options()
    # Asked to stop, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("tests").setLevel(logging.INFO)
    console = Console(width=180, stderr=options.json)
    rows = []
    try:
        with _folder() as folder, _database() as database:
            program = compile_load(folder)
            for clients, cases in _cases(options).items():
                servers = _servers(_names(options, console), database, folder, clients)
                with assembled(servers, program, clients) as contestants:
                    measured = compete(contestants, cases, options.rounds)
                show(measured, console)
                rows += measured
    except LoadFailed as error:
        sys.exit(str(error))
    if options.json:
        print(json.dumps(as_json(rows), indent=2))


def _cases(options: argparse.Namespace) -> dict[int, list[Case]]:
    """What to measure, by the number of clients."""
    if options.clients or options.rate is not None:
        clients, rate = options.clients or 1000, 20 if options.rate is None else options.rate
        return {clients: [Case(clients=clients, rate=rate or None, seconds=options.seconds)]}
    plan = ((1, None), (1000, 20), (1000, 200), (10_000, 2))
    found: dict[int, list[Case]] = {}
    for clients, rate in plan:
        found.setdefault(clients, []).append(Case(clients=clients, rate=rate, seconds=options.seconds))
    return found


def _names(options: argparse.Namespace, console: Console) -> Sequence[str]:
    names = options.only or BY_DEFAULT
    if nchan.module() is None and "nchan" in names:
        console.print("nchan is left out: it is not installed (on Debian: apt install nginx-light libnginx-mod-nchan).")
        return [name for name in names if name != "nchan"]
    return list(names)


def _servers(names: Sequence[str], database: TestDatabase, folder: Path, clients: int) -> dict[str, Open]:
    files = clients + OTHER_FILES
    _raise_file_limit(files)
    known: dict[str, Open] = {
        "gateway": partial(OurGateway, database),
        "gateway-tasks": partial(OurGateway, database, clients_per_task=CLIENTS_PER_TASK),
        "organization": partial(OurGateway, database, path="/v1/events"),
        **{kind: partial(OwnPublisher, kind) for kind in KINDS},
        "nchan": partial(nchan.Nchan, folder, files),
    }
    return {name: known[name] for name in names}


def _raise_file_limit(files: int) -> None:
    """For this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and files > hard:
        sys.exit(
            f"{files} open files are needed and {hard} allowed: raise the hard limit (ulimit -Hn) or ask for fewer."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gwbench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def _database() -> Iterator[TestDatabase]:
    """Nothing is flushed to disk: a commit takes no time of its own, and the streams are what is measured."""
    with (
        running_server(ServerKind.EMBEDDED) as server,
        migrated_template(server) as template,
        copied_database(server, template) as database,
    ):
        yield database


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.streams", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON array; the tables go to standard error")
    parser.add_argument("--only", nargs="+", choices=NAMES, help=f"the servers (default: {' '.join(BY_DEFAULT)})")
    parser.add_argument("--clients", type=int, help="one case: how many clients (default: 1000)")
    parser.add_argument("--rate", type=float, help="one case: events a second, 0: single ones (default: 20)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured (default: 3)")
    parser.add_argument("--seconds", type=float, default=3, help="how long events are published each time (default: 3)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
