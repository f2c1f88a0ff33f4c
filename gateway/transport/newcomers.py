"""Ends a listening socket without losing a connection: what the kernel has accepted for it is served, the rest refused.

A connection is made by the kernel, before the process knows of it. If the socket is just closed, those that wait for it
are reset, and their clients, who have sent a request, cannot know whether it arrived. So newcomers are kept out first:
the kernel drops what would begin a connection, and the client tries again, a second later, when it is refused.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import suppress

#: Linux's, for a filter of packets on a socket.
_ATTACH_FILTER, _DETACH_FILTER = 26, 27
#: Of the kernel's language for them: code, jump if so, jump if not, operand. A packet is cut to the length returned.
_FILTER = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the flags, in TCP's head
        (0x45, 0, 1, 0x02),  # is SYN among them?
        (0x06, 0, 0, 0),  # then drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # else pass all of it
    )
)


def keep_out(listener: socket.socket) -> bool:
    """Let no connection begin that has not begun; false where the kernel cannot do it."""
    instructions = ctypes.create_string_buffer(_FILTER, len(_FILTER))
    program = struct.pack("HP", len(_FILTER) // 8, ctypes.addressof(instructions))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        return True
    return False


def let_in(listener: socket.socket) -> None:
    """Undo it: another process may have the socket, too."""
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
