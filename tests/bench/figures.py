"""What was measured, against what, and how it is shown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One quantity, of us and of the origin's configuration where it has one."""

    name: str
    unit: str
    aim: str
    ours: Sequence[float]
    origin: Sequence[float] = ()

    @property
    def less_is_better(self) -> bool:
        return self.unit == "ms"

    @property
    def ratio(self) -> float | None:
        """How many times better than the origin."""
        if not self.origin:
            return None
        ours, origin = statistics.median(self.ours), statistics.median(self.origin)
        return origin / ours if self.less_is_better else ours / origin

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "aim": self.aim,
            "ours": _summary(self.ours),
            "origin": _summary(self.origin) if self.origin else None,
            "ratio": self.ratio,
        }


def _summary(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    tail = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(tail, 2),
        "max": round(ordered[-1], 2),
        "samples": len(ordered),
    }


def show(figures: Sequence[Figure]) -> None:
    """Print a table."""
    table = Table(title="medians (p95)")
    for heading in ("what", "aim", "ours", "origin's configuration", "times better"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.1f}"
        table.add_row(figure.name, figure.aim, _cell(figure, figure.ours), _cell(figure, figure.origin), ratio)
    Console(width=140).print(table)


def _cell(figure: Figure, values: Sequence[float]) -> str:
    if not values:
        return ""
    summary = _summary(values)
    tail = f" ({summary['p95']:,.1f})" if len(values) > 1 else ""
    return f"{summary['median']:,.1f}{tail} {figure.unit}"
