"""Which events of an organization somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workerapp.contract.events import Event, EventType

#: What can be asked for by name; a snapshot belongs to the stream that makes it.
KNOWN_TYPES = tuple(kind.value for kind in EventType if kind is not EventType.SNAPSHOT)
#: What can be asked for by family, such as `task.*`.
KNOWN_PATTERNS = tuple(dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in KNOWN_TYPES))


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFilter:
    """An event passes if it has one of the values of each kind; a kind without values lets everything pass."""

    #: Exact types; `types_of` makes them of what callers write.
    types: frozenset[str] = frozenset()
    #: Of events of tasks. Others have none, and do not pass.
    task_names: frozenset[str] = frozenset()
    test_run_ids: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()

    def matches(self, event: Event) -> bool:
        """Whether the event passes."""
        if self.types and event.type not in self.types:
            return False
        return not self._asks_for_data or self._matches_data(event.data)

    @property
    def _asks_for_data(self) -> bool:
        return bool(self.task_names or self.test_run_ids or self.statuses)

    def _matches_data(self, data: dict[str, Any]) -> bool:
        asked = ((self.task_names, "name"), (self.test_run_ids, "test_run_id"), (self.statuses, "status"))
        return all(not values or str(data.get(name)) in values for values, name in asked)


EVERYTHING = EventFilter()


class TypeUnknown(ValueError):
    """No event has such a type; the message is a sentence that lists those there are."""


def types_of(names: tuple[str, ...]) -> frozenset[str]:
    """The types that names and patterns (`task.*`) mean.

    Raises:
        TypeUnknown: there is none of that name.
    """
    return frozenset(kind for name in names for kind in _types_of(name))


def _types_of(name: str) -> tuple[str, ...]:
    if name in KNOWN_TYPES:
        return (name,)
    if name in KNOWN_PATTERNS:
        return tuple(kind for kind in KNOWN_TYPES if kind.startswith(name.removesuffix("*")))
    raise TypeUnknown(
        f'There is no event type "{name[:50]}"; there are {", ".join(KNOWN_TYPES)}, and by family '
        f"{', '.join(KNOWN_PATTERNS)}."
    )
