"""Sockets that a forked child does not keep: its copy would hold a connection open after this process has closed it.

A worker's main process forks its children at any time, also while it has requests of its own under way.
"""

from __future__ import annotations

import os
import socket
from threading import Lock
from weakref import WeakSet

_opened: WeakSet[socket.socket] = WeakSet()
#: Held over a fork, so that none falls between a socket's opening and its being known here.
_lock = Lock()


def open_own_socket(family: int, kind: int, protocol: int) -> socket.socket:
    """A socket of this process alone."""
    with _lock:
        return _known(socket.socket(family, kind, protocol))


def keep_from_children(opened: socket.socket) -> None:
    """Let this be a socket of this process alone."""
    with _lock:
        _known(opened)


def _known(opened: socket.socket) -> socket.socket:
    _opened.add(opened)
    return opened


def _close_in_child() -> None:
    for inherited in list(_opened):
        inherited.close()
    _opened.clear()
    _lock.release()


os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_close_in_child)
