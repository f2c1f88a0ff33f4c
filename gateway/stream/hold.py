"""How a stream is told that its watcher may watch no longer; by whoever knows the credential."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

#: Inside the block what is given is called when the watcher's credential is good no more.
Hold: TypeAlias = Callable[[Callable[[], None]], AbstractContextManager[object]]


def hold_forever(_: Callable[[], None]) -> AbstractContextManager[object]:
    """For watchers whose credential does not end."""
    return nullcontext()
