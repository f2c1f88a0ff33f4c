"""Callers that were found a moment ago, by the hash of what they showed."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from workerapp.contract.caller import Caller


@dataclass(frozen=True, slots=True)
class _Remembered:
    caller: Caller
    until: float


class RememberedCallers:
    """Remembers a limited number of callers; the one that was remembered first makes way for a new one."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[bytes, _Remembered] = OrderedDict()

    def find(self, credential: str) -> Caller | None:
        """The caller, or none if it is not remembered, or no longer."""
        key = _hash(credential)
        known = self._known.get(key)
        if known is not None and time.monotonic() < known.until:
            return known.caller
        self._known.pop(key, None)
        return None

    def remember(self, credential: str, caller: Caller, seconds: float) -> None:
        """For so many seconds."""
        self._known[_hash(credential)] = _Remembered(caller, time.monotonic() + seconds)
        while len(self._known) > self._size:
            self._known.popitem(last=False)


def _hash(credential: str) -> bytes:
    return hashlib.sha256(credential.encode()).digest()
