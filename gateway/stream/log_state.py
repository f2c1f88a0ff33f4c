"""The log of an organization's events as one transaction sees it, and which positions in it can be continued."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.stream.organization_cursor import Mark, Position
from gateway.stream.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class LogState:
    """Where the log ends, which history it is, and the highest transaction and event that retention removed."""

    now: Mark
    epoch: bytes
    pruned_xid: int
    pruned_id: int

    def end(self) -> Position:
        """The position behind everything that has happened."""
        return Position(self.epoch, self.now)

    def beginning(self) -> Position:
        """The position before everything that retention has kept."""
        kept = self.pruned_xid + 1
        return Position(self.epoch, Mark(Snapshot(kept, kept), newest_id=0, next_xid=kept))

    def can_continue(self, position: Position) -> bool:
        """Whether reading on from there leaves nothing out.

        If not, it is of another history, or of transactions that a crash took back, or something it had not come to
        was removed.
        """
        latest = position.catching.target if position.catching else position.seen
        is_ours = position.epoch == self.epoch and latest.snapshot.xmax <= self.now.snapshot.xmax
        return is_ours and position.seen.snapshot.xmax <= latest.snapshot.xmax and self._has_kept_the_rest_of(position)

    def _has_kept_the_rest_of(self, position: Position) -> bool:
        if self.pruned_xid < position.seen.snapshot.xmin:
            return True
        catching = position.catching
        return (
            catching is not None
            and self.pruned_xid < catching.target.snapshot.xmin
            and self.pruned_id <= catching.last_id
        )
