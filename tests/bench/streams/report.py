"""The table: medians over the rounds, and how they compare with bare ASGI and with nchan."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.bench.streams.window import Case, Window

BASELINES = ("bare", "nchan")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One server in one case."""

    case: Case
    subject: str
    #: Of an idle client in the server, in bytes; none where there are too few to tell.
    memory: float | None
    #: Server processor time for each client that connects.
    connect_cpu: float
    windows: Sequence[Window]

    def median(self, quantity: str) -> float:
        return float(statistics.median(getattr(window, quantity) for window in self.windows))

    @property
    def missing(self) -> int:
        return sum(window.expected - window.deliveries for window in self.windows)

    def as_json(self, rows: Mapping[str, Row]) -> dict[str, Any]:
        medians = {field.name: self.median(field.name) for field in fields(Window)}
        ratios = {f"cpu_to_{name}": _ratio(self, rows.get(name)) for name in BASELINES}
        about = {"subject": self.subject, "memory_per_client": self.memory, "cpu_to_connect": self.connect_cpu}
        return asdict(self.case) | about | {"missing": self.missing, "rounds": len(self.windows)} | medians | ratios


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One object for each server and case; times in seconds, memory in bytes."""
    return [row.as_json(peers) for peers in _by_case(rows).values() for row in peers.values()]


def show(rows: Sequence[Row], console: Console) -> None:
    """Print a table for each case."""
    for case, peers in _by_case(rows).items():
        rounds = max(len(row.windows) for row in peers.values())
        table = Table(
            title=f"{case} (medians of {rounds} windows)", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
        )
        for column in COLUMNS:
            table.add_column(column, justify="left" if column == "server" else "right", no_wrap=True)
        for row in peers.values():
            table.add_row(*_cells(row, peers))
        console.print(table)


COLUMNS = (
    "server",
    "CPU µs/\ndelivery",
    "CPU µs/\nread",
    "to\nbare",
    "to\nnchan",
    "p50\nms",
    "p99\nms",
    "max\nms",
    "deliveries\n/second",
    "kB/\nclient",
    "bytes/\ndelivery",
    "reads/\ndelivery",
    "writes/\ndelivery",
    "missing",
    "closed",
    "CPU ms/\nconnect",
    "load\nCPU %",
)


def _cells(row: Row, peers: Mapping[str, Row]) -> list[str]:
    ratios = [_ratio(row, peers.get(name)) for name in BASELINES]
    return [
        row.subject,
        f"{row.median('cpu') * 1e6:.1f}",
        f"{row.median('cpu_per_read') * 1e6:.1f}",
        *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        *(f"{row.median(quantity) * 1000:.1f}" for quantity in ("p50", "p99", "longest")),
        f"{row.median('deliveries_per_second'):,.0f}",
        "" if row.memory is None else f"{row.memory / 1000:.1f}",
        f"{row.median('bytes_per_delivery'):.0f}",
        *(f"{row.median(quantity):.2f}" for quantity in ("reads_per_delivery", "writes_per_delivery")),
        f"{row.missing:,}",
        f"{row.median('closed'):,.0f}",
        f"{row.connect_cpu * 1000:.2f}",
        f"{row.median('load_cpu') * 100:.0f}",
    ]


def _ratio(row: Row, baseline: Row | None) -> float | None:
    """How many times the processor time of the baseline it takes; none where that is too short for the clock."""
    if baseline is None or not all(window.cpu for window in baseline.windows):
        return None
    pairs = zip(row.windows, baseline.windows, strict=True)
    return statistics.median(mine.cpu / other.cpu for mine, other in pairs)


def _by_case(rows: Sequence[Row]) -> dict[Case, dict[str, Row]]:
    found: dict[Case, dict[str, Row]] = {}
    for row in rows:
        found.setdefault(row.case, {})[row.subject] = row
    return found
