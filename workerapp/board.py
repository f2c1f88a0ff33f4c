"""Numbers that all processes of a worker count together, in memory that they share.

The pool forks, and what its processes know has to reach the main one, which tells it. Each process counts in a row of
its own, so nobody waits for anybody. The row of a process that is gone stays, and the next one in its place counts on
in it: nothing is lost or counted twice, however it ended, and there is nothing to clean up.
"""

from __future__ import annotations

import mmap
from itertools import takewhile
from threading import Lock

_CELL_BYTES = 8


class Board:
    """Rows of cells; which cell means what is agreed on before the first fork, by `reserve`."""

    def __init__(self, *, rows: int = 1024, cells: int = 1024) -> None:
        """Memory is taken only for the rows that are used."""
        self._rows, self._cells = rows, cells
        self._memory = mmap.mmap(-1, (rows + rows * cells) * _CELL_BYTES)
        #: At first one cell for each row, which says that it is used, then the rows.
        self._numbers = memoryview(self._memory).cast("d")
        self._reserved = 0
        #: What tells of this moment, and ends with its process.
        self._momentary: set[int] = set()
        self.take_row(0)

    def take_row(self, row: int) -> None:
        """Count in this row from now on: the main process in the first, each process of the pool by its place in it."""
        row = min(row, self._rows - 1)
        #: Not the parent's: another of its threads may have held that while it forked.
        self._lock = Lock()
        self._start = self._rows + row * self._cells
        self._numbers[row] = 1.0
        for cell in self._momentary:
            self._numbers[self._start + cell] = 0.0

    def reserve(self, cells: int, *, momentary: bool = False) -> int:
        """So many cells, one after the other; the number of the first."""
        first, self._reserved = self._reserved, self._reserved + cells
        assert self._reserved <= self._cells, "a row has no more cells"
        if momentary:
            self._momentary.update(range(first, self._reserved))
        return first

    def add(self, cell: int, amount: float) -> None:
        """Add to a cell of this process."""
        with self._lock:
            self._numbers[self._start + cell] += amount

    def add_both(self, one: int, amount: float, other: int, more: float) -> None:
        """Add to two of them."""
        numbers, start = self._numbers, self._start
        with self._lock:
            numbers[start + one] += amount
            numbers[start + other] += more

    def total(self, cell: int) -> float:
        """What all processes have counted in it, those that are gone too."""
        numbers = self._numbers
        used = takewhile(lambda row: numbers[row], range(self._rows))
        return sum(numbers[self._rows + row * self._cells + cell] for row in used)


#: The one of this worker.
BOARD = Board()
