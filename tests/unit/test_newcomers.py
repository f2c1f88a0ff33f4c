"""A listening socket that ends loses no connection: what was made is accepted, what was not is refused."""

from __future__ import annotations

import errno
import select
import socket

import pytest

from gateway.transport.newcomers import keep_out, let_in

PATIENCE = 20.0


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def beginning(listener: socket.socket) -> socket.socket:
    """A client whose connection is being made, or is made."""
    client = socket.socket()
    client.settimeout(0)
    assert client.connect_ex(listener.getsockname()) == errno.EINPROGRESS
    return client


def outcome(client: socket.socket) -> int:
    """What came of its connection, as soon as something did."""
    assert select.select([], [client], [], PATIENCE)[1]
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def test_who_came_before_is_served_and_who_comes_later_is_refused_when_the_socket_ends(listener: socket.socket):
    with beginning(listener) as early:
        assert outcome(early) == 0
        if not keep_out(listener):
            pytest.skip("this system has no filter for a socket that listens")
        with beginning(listener) as late:
            served, _ = listener.accept()
            with served:
                early.sendall(b"a request")
                assert served.recv(100) == b"a request"
            let_in(listener)
            listener.close()
            assert outcome(late) == errno.ECONNREFUSED


def test_a_socket_that_another_process_has_too_takes_connections_again(listener: socket.socket):
    keep_out(listener)
    let_in(listener)
    with beginning(listener) as client:
        assert outcome(client) == 0
