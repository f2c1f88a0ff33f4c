"""The oldest transaction that is open, as a reader of snapshots sees it: how old it is, and what began behind it."""

from __future__ import annotations

from gateway.stream.organization_cursor import Mark


class Horizon:
    """What is written by open transactions is still to come; it delays nobody else's events."""

    def __init__(self) -> None:
        self._oldest: int | None = None
        self._first_seen = 0.0
        #: Begun since the oldest that is open, itself included; 0 if none is.
        self.transactions = 0
        #: Seconds since the oldest was first seen as such, at most so long as it is open.
        self.age = 0.0

    def see(self, mark: Mark, now: float) -> None:
        """Take notice of a snapshot that was just read; `now` is of a clock that never goes back."""
        self.transactions = mark.next_xid - mark.snapshot.xmin
        oldest = mark.snapshot.xmin if self.transactions else None
        if oldest != self._oldest:
            self._oldest, self._first_seen = oldest, now
        self.age = now - self._first_seen if oldest is not None else 0.0
