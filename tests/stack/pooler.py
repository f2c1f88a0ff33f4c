"""A pooler as PgBouncer is one: it gives a session of Postgres to each transaction, or drops start-up parameters."""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import suppress
from typing import Self

import psycopg

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_AUTHENTICATED = b"R" + struct.pack("!II", 8, 0)
#: A number of the pooler's own, as PgBouncer gives one: it cancels by it, and no session of Postgres has it.
_KEY = b"K" + struct.pack("!III", 12, 7, 7)
_READY = b"Z" + struct.pack("!I", 5) + b"I"
_PARAMETERS = {
    "server_version": "18.0",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
}


class Pooler:
    """Speaks to any number of clients, whom it believes, over sessions that psycopg has opened for it."""

    def __init__(self, server: str, *, keeps_sessions: bool = False, refuses: str = "") -> None:
        """`refuses`: a start-up parameter that ends the connection; all others are dropped."""
        self._server = server
        self._keeps_sessions = keeps_sessions
        self._refuses = refuses.encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._idle: list[socket.socket] = []
        self._clients: set[socket.socket] = set()
        self._opened: list[psycopg.Connection] = []
        self._sessions: list[socket.socket] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for client in list(self._clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for opened in (*self._sessions, *self._opened):
            opened.close()

    def url(self, database: str) -> str:
        return f"postgresql://anybody@127.0.0.1:{self.port}/{database}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, EOFError), client:
            if self._greet(client):
                self._relay(client)
        self._clients.discard(client)

    def _greet(self, client: socket.socket) -> bool:
        """Take the start-up message, and pass nothing of it on."""
        while True:
            length, code = struct.unpack("!II", _read(client, 8))
            asked = _read(client, length - 8)
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                break
            client.sendall(b"N")
        if self._refuses and self._refuses in asked.split(b"\0"):
            fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: " + self._refuses + b"\0\0"
            client.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)
            return False
        told = [f"{name}\0{value}\0".encode() for name, value in _PARAMETERS.items()]
        status = b"".join(b"S" + struct.pack("!I", len(pair) + 4) + pair for pair in told)
        client.sendall(_AUTHENTICATED + status + _KEY + _READY)
        return True

    def _relay(self, client: socket.socket) -> None:
        """From a client's first message to the end of its transaction it has a session."""
        session: socket.socket | None = None
        try:
            while True:
                kind, message = _message(client)
                if kind == b"X":
                    return
                session = session or self._take()
                session.sendall(message)
                if kind in b"QS" and _answer(session, client) == b"I" and not self._keeps_sessions:
                    self._idle.append(session)
                    session = None
        finally:
            if session is not None:
                self._idle.append(session)

    def _take(self) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        opened = psycopg.connect(self._server)
        self._opened.append(opened)
        session = socket.socket(fileno=os.dup(opened.fileno()))
        session.settimeout(None)
        self._sessions.append(session)
        return session


def _answer(session: socket.socket, client: socket.socket) -> bytes:
    """Pass on what the session answers, to its end; returns the state of the transaction."""
    while True:
        kind, message = _message(session)
        client.sendall(message)
        if kind == b"Z":
            return message[-1:]


def _message(end: socket.socket) -> tuple[bytes, bytes]:
    head = _read(end, 5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], head + _read(end, length - 4)


def _read(end: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        more = end.recv(size - len(read))
        if not more:
            raise EOFError
        read += more
    return read
