"""How many files of tests this process reads at once, in all and of one organization."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from gateway.errors import ImportsFull, OrganizationImportsFull


class Imports:
    """Counts those that are being read."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._reading: Counter[UUID] = Counter()

    @contextmanager
    def place(self, organization_id: UUID) -> Iterator[None]:
        """Hold a place while a file is read.

        Raises:
            OrganizationImportsFull, ImportsFull: there is none.
        """
        if self._reading[organization_id] >= self._most_of_one:
            raise OrganizationImportsFull(
                f"This gateway reads {self._most_of_one} imports of your organization at once, which is the limit; send"
                " this one again when another one has ended."
            )
        if self._reading.total() >= self._most:
            raise ImportsFull("The server reads as many imports as it may at once; try again shortly.", retry_after=5)
        self._reading[organization_id] += 1
        try:
            yield
        finally:
            self._reading[organization_id] -= 1
            self._reading += Counter()  # Forgets those who read nothing.
