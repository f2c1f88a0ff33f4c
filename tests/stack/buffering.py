"""A proxy that holds a stream back until there is enough of it, as proxies do unless they are told not to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

ENOUGH = 4096


@contextmanager
def buffering_proxy(target: int) -> Iterator[int]:
    """Its port; `target` is that of a server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, target), daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, target: int) -> None:
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            threading.Thread(target=_serve, args=(near, target), daemon=True).start()


def _serve(near: socket.socket, target: int) -> None:
    with near, socket.create_connection(("127.0.0.1", target)) as far, suppress(OSError):
        asking = threading.Thread(target=_pump, args=(near, far), daemon=True)
        asking.start()
        _pump(far, near)
        near.shutdown(socket.SHUT_RDWR)
        asking.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    held, is_stream = b"", False
    with suppress(OSError):
        while data := source.recv(65536):
            is_stream = is_stream or b"text/event-stream; charset" in data
            held += data
            if len(held) >= ENOUGH or not is_stream:
                sink.sendall(held)
                held = b""
        sink.sendall(held)
        sink.shutdown(socket.SHUT_WR)
