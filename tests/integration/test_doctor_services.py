"""What the checks of `gateway doctor` find behind and before the database: workers, secrets, a broker, a gateway."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from gateway.doctor.checks import GATEWAY_CHECKS
from gateway.doctor.finding import Level
from gateway.doctor.setup import Server, now
from tests.doctor import Examined, examined, make_setup
from tests.postgres import TestDatabase
from tests.records import act_for, add_organization
from tests.rest import Gateway, Tenant
from tests.stack.broker_servers import RedisServer
from tests.stack.brokers import running_broker
from tests.stack.buffering import buffering_proxy
from tests.stack.proxy import write_certificate
from tests.stack.services import free_port
from workerapp.db.sealing import Sealer, endpoint_place, new_key

OK, WARNING, PROBLEM, SKIPPED = Level


# ---------------------------------------------------------------- what works, and what waits
def test_without_a_worker_the_command_that_starts_one_is_told(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url, options="-c search_path=gateway") as admin:
        submit(admin, add_organization(admin))
    told = examined(make_setup(database.url))
    assert "celery -A workerapp worker" in told.found("workers", WARNING)
    assert "1 messages wait in the queue celery, which no worker consumes" in told.found("queues", WARNING)
    assert "sweeper" in told.of_level(SKIPPED)
    assert told.of_level(PROBLEM) == set()


def test_workers_that_are_silent_or_ahead_and_steps_that_fail_are_told(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(
            "INSERT INTO gateway.worker_heartbeat (node, pid, started_at, at, pool, concurrency, queues) VALUES"
            " ('silent@a', 1, now() - interval '1 hour', now() - interval '1 minute', 'prefork', 2, '{celery}'),"
            " ('ahead@b', 1, now() + interval '1 hour', now() + interval '1 minute', 'prefork', 2, '{other}')"
        )
        admin.execute(
            "INSERT INTO gateway.sweep_step (step, node, swept_at, seconds, done, done_in_all, failed_at, error)"
            " VALUES ('prune_runs', 'ahead@b', now(), 1, 0, 0, now(), 'LockNotAvailable: canceled')"
        )
    told = examined(make_setup(database.url))
    warned = told.found("workers", WARNING)
    assert "silent@a has stopped reporting" in warned
    assert "clock of the worker ahead@b is ahead" in warned
    assert "no worker consumes the default queue, celery" in warned
    assert "step prune_runs fails: LockNotAvailable" in told.found("sweeper", PROBLEM)


# ---------------------------------------------------------------- secrets, networks, this machine
def test_a_secret_that_no_key_opens_is_a_problem(database: TestDatabase) -> None:
    lost = new_key()
    seal_something(database, lost)
    unseen = examined(make_setup(database.url))
    assert "--owner-url" in unseen.found("secret keys", SKIPPED)
    seen = examined(make_setup(database.url, owner_url=database.admin_url))
    assert f"1 secrets in endpoint.sealed_headers were sealed with the key {Sealer((lost,)).key_ids[0]}" in seen.found(
        "secret keys", PROBLEM
    )
    kept = examined(make_setup(database.url, owner_url=database.admin_url, secret_keys=(new_key(), lost)))
    assert "1 with an older key" in kept.found("secret keys", OK)
    assert lost not in str(seen.lines + kept.lines)
    other = examined(make_setup(database.url, owner_url=database.url))
    assert "name the login that migrated" in other.found("secret keys", PROBLEM)


def test_settings_that_do_not_fit_each_other_are_warnings(database: TestDatabase) -> None:
    told = examined(make_setup(database.url, idempotency_ttl_seconds=864_000, worker_dead_seconds=3))
    assert "promises 240" in told.found("settings", WARNING)
    assert "count as dead after 3" in told.found("settings", WARNING)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "169.254.0.0/16"])
def test_a_network_that_nobody_should_open_is_a_warning(database: TestDatabase, network: str) -> None:
    assert network in examined(make_setup(database.url, outbound_allow=network)).found("outbound", WARNING)


def test_a_data_folder_that_is_open_to_others_is_a_problem(database: TestDatabase, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    told = examined(make_setup(database.url, data_dir=tmp_path))
    assert f"chmod 700 {tmp_path}" in told.found("data folder", PROBLEM)


def test_more_streams_than_files_are_a_warning(database: TestDatabase) -> None:
    told = examined(make_setup(database.url, stream={"max_streams": 2_000_000_000}))
    assert "ulimit -n" in told.found("open files", WARNING)


# ---------------------------------------------------------------- the broker
@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_is_away_is_a_problem(database: TestDatabase, scheme: str) -> None:
    url = f"{scheme}://guest:pass-word@127.0.0.1:{free_port()}/0"
    told = examined(make_setup(database.url, broker_url=url))
    assert "start the broker" in told.found("broker", PROBLEM)
    assert "pass-word" not in str(told.lines)


@pytest.mark.server
def test_a_redis_that_throws_messages_away_is_a_problem(database: TestDatabase) -> None:
    redis = pytest.importorskip("redis")
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        fine = examined(make_setup(database.url, broker_url=server.url))
        assert "answers at redis://" in fine.found("broker", OK)
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert "no limit yet" in examined(make_setup(database.url, broker_url=server.url)).found("broker", WARNING)
        client.config_set("maxmemory", "100mb")
        told = examined(make_setup(database.url, broker_url=server.url))
    assert "maxmemory-policy allkeys-lru" in told.found("broker", PROBLEM)


@pytest.mark.server
def test_a_rabbitmq_that_nobody_consumes_is_a_warning(database: TestDatabase) -> None:
    with running_broker("amqp", database) as broker:
        told = examined(make_setup(database.url, broker_url=broker.url))
    assert "RabbitMQ" in told.found("broker", OK)
    assert "has no queue celery" in told.found("broker", WARNING)


# ---------------------------------------------------------------- a gateway
async def test_a_gateway_is_asked_as_its_callers_ask(served: Gateway, database: TestDatabase, tenant: Tenant) -> None:
    told = await ask(database, Server(url=served.url, api_key=tenant.secret))
    assert told.of_level(PROBLEM) | told.of_level(WARNING) == set(), told.lines
    assert "first bytes of a stream come at once" in told.found("stream", OK)
    refused = await ask(database, Server(url=served.url, api_key="tsg_wrong"))
    assert "a stream was refused" in refused.found("stream", WARNING)
    keyless = await ask(database, Server(url=served.url, api_key=""))
    assert "GATEWAY_API_KEY" in keyless.found("stream", SKIPPED)


async def test_a_proxy_that_buffers_is_found_by_a_stream(
    served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    port = int(served.url.rpartition(":")[2])
    with buffering_proxy(port) as proxy:
        told = await ask(database, Server(url=f"http://127.0.0.1:{proxy}", api_key=tenant.secret))
    assert "alive and ready" in told.found("gateway", OK)
    assert "a proxy holds it back" in told.found("stream", PROBLEM)
    assert tenant.secret not in str(told.lines)


async def test_a_gateway_that_is_away_or_on_another_time_is_told(served: Gateway, database: TestDatabase) -> None:
    away = await ask(database, Server(url=f"http://127.0.0.1:{free_port()}", api_key=""))
    assert "cannot be reached" in away.found("gateway", PROBLEM)
    assert "stream" in away.of_level(SKIPPED)
    late = await ask(database, Server(url=served.url, api_key=""), hours=-1)
    assert "ahead of" in late.found("gateway", WARNING)


async def test_a_certificate_that_nobody_believes_and_that_ends_soon_is_told(
    database: TestDatabase, tmp_path: Path
) -> None:
    write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "gateway.pem", tmp_path / "gateway.key")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        soon = await ask(database, Server(url=url, api_key=""))
        over = await ask(database, Server(url=url, api_key=""), hours=48)
    assert "is not believed" in soon.found("certificate", PROBLEM)
    assert "good until" in soon.found("certificate", WARNING)
    assert "expired" in over.found("certificate", PROBLEM)


async def ask(database: TestDatabase, server: Server, hours: float = 0) -> Examined:
    setup = make_setup(database.url, server=server, clock=lambda: now() + timedelta(hours=hours))
    return await asyncio.to_thread(examined, setup, GATEWAY_CHECKS)


# ---------------------------------------------------------------- setups
def submit(admin: psycopg.Connection, organization_id: UUID) -> None:
    """A task that waits for a worker."""
    act_for(admin, organization_id)
    headers = {"id": str(uuid4()), "task": "echo", "organization_id": str(organization_id)}
    admin.execute("SELECT broker_publish('celery', %s)", (Jsonb({"headers": headers, "properties": {}}),))


def seal_something(database: TestDatabase, key: str) -> None:
    """An endpoint with a header that this key has sealed."""
    with psycopg.connect(database.admin_url, options="-c search_path=gateway") as admin:
        organization_id, endpoint_id = add_organization(admin), uuid4()
        sealed = Sealer((key,)).seal("{}", endpoint_place(organization_id, endpoint_id))
        admin.execute(
            "INSERT INTO endpoint (id, organization_id, name, spec, sealed_headers) VALUES (%s, %s, 'app', '{}', %s)",
            (endpoint_id, organization_id, sealed),
        )
