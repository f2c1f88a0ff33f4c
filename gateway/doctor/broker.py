"""The broker, where it is not the database: reachable, set up to keep what it is given, and consumed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kombu.connection import Connection
from kombu.exceptions import OperationalError

from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.setup import Setup, first_line
from workerapp.db.settings import AMQP_SCHEMES

_NO_EVICTION = "noeviction"
_UNKNOWN = "unknown"
_START = "start a worker with this BROKER_URL"


def look_at_broker(setup: Setup) -> Iterable[Finding]:
    """Whether it answers, and what about it would lose or hold up messages."""
    if setup.settings.broker_is_database:
        yield ok("the database is the broker")
        return
    try:
        yield from _look(setup)
    except ImportError:
        yield problem("the client of Redis is not installed", "pip install 'task-status-gateway[redis]'")


def _look(setup: Setup) -> Iterable[Finding]:
    url, seconds = setup.settings.broker_url, max(setup.patience / 2, 1)
    connection: Any = Connection(url, connect_timeout=seconds)  # type: ignore[no-untyped-call]  # kombu has few types
    where = connection.as_uri(mask="***")
    try:
        connection.connect()
        channel = connection.channel()
    except (OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
        yield problem(
            f"{where} cannot be reached: {first_line(error)}",
            "start the broker, or correct host, user, password and virtual host in BROKER_URL",
        )
    else:
        if setup.settings.broker_scheme in AMQP_SCHEMES:
            yield from _rabbitmq(channel, where, setup.settings.default_queue)
        else:
            yield from _redis(channel.client, where)
    finally:
        connection.release()


def _rabbitmq(channel: Any, where: str, queue: str) -> Iterable[Finding]:
    """What AMQP tells; the server's own settings are not among it."""
    version = channel.connection.server_properties.get("version", _UNKNOWN)
    yield ok(
        f"RabbitMQ {version} answers at {where}; "
        "its consumer_timeout, 30 minutes unless it was changed, ends the channel of a longer task"
    )
    try:
        declared = channel.queue_declare(queue, passive=True)
    except channel.connection.channel_errors:
        yield warning(f"RabbitMQ has no queue {queue}: no worker has ever consumed it", _START)
        return
    if declared.consumer_count:
        yield ok(f"the queue {queue} has {declared.consumer_count} consumers and {declared.message_count} messages")
    else:
        yield warning(f"nobody consumes the queue {queue} of RabbitMQ", _START)


def _redis(client: Any, where: str) -> Iterable[Finding]:
    """`client` is the driver's; a hosted Redis may answer INFO only."""
    told = client.info()
    policy, limit = told.get("maxmemory_policy", _UNKNOWN), told.get("maxmemory", 0)
    if policy not in (_NO_EVICTION, _UNKNOWN):
        what = f"Redis at {where} throws messages away when its memory is full (maxmemory-policy {policy})"
        mend = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration"
        yield problem(what, mend) if limit else warning(f"{what}; it has no limit yet", mend)
    keeps = "keeps a log of its writes" if told.get("aof_enabled") else "forgets in a crash what was not saved"
    yield ok(f"Redis {told.get('redis_version', _UNKNOWN)} answers at {where}; it {keeps}")
