"""A part of the log that was read at once, and the cursor behind each of its events."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.stream.organization_cursor import CursorsWithin, Mark, Position, encode_position


@dataclass(frozen=True, slots=True)
class Span:
    """What lies between two positions of one reader; the second one may be in the middle of a difference."""

    before: Position
    after: Position

    @property
    def target(self) -> Mark:
        """What the second position has told, or will have told when it is through with its difference."""
        return self.after.catching.target if self.after.catching else self.after.seen

    @property
    def is_complete(self) -> bool:
        """Whether all that the target sees has been told at the end."""
        return self.after.catching is None

    def cursors(self, ids: list[int]) -> list[str]:
        """The cursors of a client that has everything up to each of these events, which are all of somebody's."""
        within = CursorsWithin(self.before, self.target)
        return [*map(within.cursor_at, ids[:-1]), encode_position(self.after)]
