"""A Redis channel whose server is gone fails with errors that Celery expects, so that the worker connects anew."""

from __future__ import annotations

from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer, Producer

from tests.stack.broker_servers import RedisServer
from workerapp import redis_transport

pytestmark = pytest.mark.server


def test_what_was_lost_with_the_connection_is_no_surprise() -> None:
    redis_transport.register()
    got: list[Any] = []
    with RedisServer() as server:
        connection = Connection(server.url)
        channels = [connection.default_channel, connection.channel()]
        for number, channel in enumerate(channels):
            queue = Queue(f"tasks-{number}", routing_key=f"tasks-{number}")
            Consumer(channel, [queue], callbacks=[lambda _, message: got.append(message)]).consume()
            Producer(channel).publish("work", routing_key=queue.name)
        while len(got) < len(channels):
            connection.drain_events(timeout=5)
        for channel in channels:
            channel._in_poll or channel._brpop_start()
        server.kill()
        # As a worker does that has lost its broker.
        connection.collect(socket_timeout=1)
        connection.close()
    for message in got:
        message.channel.qos._on_collect.cancel()  # at the end of this process nothing is restored
        with pytest.raises(connection.connection_errors):
            message.ack()
