"""What happened in your organization, up to now; `gateway watch` tells what happens from now on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from gateway.cli.event_filters import add_filter_arguments, read_filters
from gateway.cli.failures import ExitStatus
from gateway.cli.findings import print_found
from gateway.cli.interruption import ending_at_once
from gateway.cli.server import add_json_argument, add_server_arguments, prints_json, talking
from gateway.client import Event

_COLUMNS = ("at", "type", "subject", "seq", "data")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--after", default="earliest", metavar="CURSOR", help="where to go on (default: the oldest event there is)"
    )
    add_filter_arguments(parser)
    add_server_arguments(parser)
    add_json_argument(parser)


def execute(options: argparse.Namespace) -> int:
    """Print them, and where to go on."""
    with ending_at_once(), talking(options) as client:
        passing = _Passing(client.list_events(options.after, **read_filters(options)))
        print_found(passing, _COLUMNS, as_json=prints_json(options))
    if passing.cursor is not None:
        print(f"To go on behind these: --after {passing.cursor}", file=sys.stderr)
    return ExitStatus.OK


class _Passing:
    """Events that pass by, and the latest cursor that one of them had."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = events
        self.cursor: str | None = None

    def __iter__(self) -> Iterator[Event]:
        for event in self._events:
            self.cursor = event.cursor or self.cursor
            yield event
