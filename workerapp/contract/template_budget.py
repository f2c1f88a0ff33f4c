"""What rendering one request template may cost, and the counting of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jinja2 import Undefined


class OverBudget(Exception):
    """The template makes too much text, or takes too many steps or too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateLimits:
    """What one template string, and one rendering of a whole request, may cost."""

    source_length: int = 65_536
    depth: int = 50
    output_size: int = 1_048_576
    steps: int = 10_000
    seconds: float = 0.5


class Budget:
    """What is left for one rendering."""

    __slots__ = ("_deadline", "_limits", "_room", "_steps")

    def __init__(self, limits: TemplateLimits) -> None:
        self._limits, self._steps, self._room, self._deadline = limits, limits.steps, limits.output_size, 0.0

    def spend_step(self) -> None:
        """Count one filter or one turn of a loop."""
        if self._deadline == 0.0:
            self._deadline = time.monotonic() + self._limits.seconds
        self._steps -= 1
        if self._steps < 0:
            raise OverBudget(f"the template takes more than {self._limits.steps} steps")
        if time.monotonic() > self._deadline:
            raise OverBudget(f"the template takes longer than {self._limits.seconds:g} seconds")

    def write(self, size: int) -> None:
        """Count what goes into the request."""
        self._room -= size
        if self._room < 0:
            raise self.too_large()

    def write_value(self, value: Any) -> None:
        self.write(self.measure(value))

    def measure(self, value: Any) -> int:
        """The size of a JSON value in characters, roughly; refuses what is no JSON or is over the limit."""
        size, waiting = 0, [value]
        while waiting:
            item = waiting.pop()
            size += len(item) if isinstance(item, str) else 1
            if size > self._limits.output_size:
                raise self.too_large()
            if isinstance(item, dict):
                waiting.extend(item)
                waiting.extend(item.values())
            elif isinstance(item, (list, tuple)):
                waiting.extend(item)
            else:
                _check_scalar(item)
        return size

    def check_size(self, size: int) -> None:
        if size > self._limits.output_size:
            raise self.too_large()

    def take(self, values: Iterable[Any]) -> list[Any]:
        return list(islice(values, self._limits.output_size))

    def too_large(self) -> OverBudget:
        return OverBudget(f"the template makes more than {self._limits.output_size} characters")


def _check_scalar(value: Any) -> None:
    if isinstance(value, Undefined):
        str(value)  # A strict undefined raises, and names what is missing.
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a number JSON can hold")
    if value is not None and not isinstance(value, (str, int, float)):
        raise TypeError(f"a {type(value).__name__} is not a JSON value")
