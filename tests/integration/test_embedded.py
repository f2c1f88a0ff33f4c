"""The embedded Postgres: where it may live, who may start it, and that nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.embedded.account import serving_account
from gateway.embedded.postgres import EmbeddedPostgres, EmbeddedPostgresError
from gateway.embedded.server import _command_line
from tests.postgres import value_of
from workerapp.db.address import DatabaseAddress

#: Starts the server, says its address, and then asks it something for every line it is sent.
CHILD = """
import signal, sys, psycopg
from gateway.embedded.postgres import EmbeddedPostgres
with EmbeddedPostgres(sys.argv[1], durable=False) as server:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(server.address, flush=True)
    for line in sys.stdin:
        with psycopg.connect(server.address) as connection:
            print(connection.execute("SELECT 'alive'").fetchone()[0], flush=True)
"""


@contextmanager
def child_with_server(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", CHILD, str(data_dir)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline().startswith("postgresql://")
            yield child
        finally:
            child.kill()


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "cluster" / "postmaster.pid").read_text().splitlines()[0])


async def test_every_driver_takes_the_address(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert value_of(server.address, "SELECT current_database()") == "gateway"
        connection = await asyncpg.connect(server.address)
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        await connection.close()
        engine = create_engine(DatabaseAddress.parse(server.address).sqlalchemy_url("psycopg"))
        with engine.connect() as through_engine:
            assert through_engine.execute(text("SHOW listen_addresses")).scalar_one() == ""
        engine.dispose()
        async_engine = create_async_engine(DatabaseAddress.parse(server.address).sqlalchemy_url("asyncpg"))
        async with async_engine.connect() as through_asyncpg:
            assert (await through_asyncpg.execute(text("SELECT 1"))).scalar_one() == 1
        await async_engine.dispose()


def test_port_from_the_environment_changes_nothing(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert value_of(server.address, "SHOW port") == "5432"


def test_second_start_keeps_the_data_and_is_fast(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    server.start()
    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    began = time.monotonic()
    with server:
        assert time.monotonic() - began < 2
        assert value_of(server.address, "SELECT answer FROM kept") == "42"


def test_start_and_stop_may_be_repeated(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    assert server.start() == server.start()
    server.stop()
    server.stop()


def test_second_start_on_the_same_folder_is_refused_naming_the_process(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False) as first:
        second = EmbeddedPostgres(data_dir, durable=False)
        with pytest.raises(EmbeddedPostgresError, match=rf"in use by process {os.getpid()}\."):
            second.start()
        second.stop()
        assert value_of(first.address, "SELECT 1") == "1"


def test_start_while_another_process_holds_the_folder_is_refused_naming_it(data_dir: Path) -> None:
    with child_with_server(data_dir) as child:
        with pytest.raises(EmbeddedPostgresError, match=rf"in use by process {child.pid}\."):
            EmbeddedPostgres(data_dir, durable=False).start()
        child.communicate(timeout=30)


def test_stop_leaves_no_process_and_no_socket(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False) as server:
        pid = server_pid(data_dir)
        assert value_of(server.address, "SELECT 1") == "1"
        assert (data_dir / "cluster" / ".s.PGSQL.5432").exists()
    assert _command_line(pid) == ""
    assert not (data_dir / "cluster" / ".s.PGSQL.5432").exists()
    assert not (data_dir / "cluster" / "postmaster.pid").exists()


def test_stop_does_not_wait_for_clients(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    connection = psycopg.connect(server.start())
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_server_of_a_killed_process_is_adopted_and_stopped_at_the_end(data_dir: Path) -> None:
    with child_with_server(data_dir) as child:
        child.kill()
    left_behind = server_pid(data_dir)
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert server_pid(data_dir) == left_behind
        assert value_of(server.address, "SELECT 1") == "1"
    assert _command_line(left_behind) == ""


def test_left_behind_server_without_a_socket_is_replaced(data_dir: Path) -> None:
    with child_with_server(data_dir) as child:
        child.kill()
    left_behind = server_pid(data_dir)
    (data_dir / "cluster" / ".s.PGSQL.5432").unlink()
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert value_of(server.address, "SELECT 1") == "1"
        assert _command_line(left_behind) == ""


def test_pid_file_that_names_another_program_does_not_hinder_the_start(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False):
        pass
    with subprocess.Popen(["sleep", "60"], **serving_account().process_options()) as other:
        pid_file = data_dir / "cluster" / "postmaster.pid"
        pid_file.write_text(f"{other.pid}\n{data_dir / 'cluster'}\n")
        try:
            with EmbeddedPostgres(data_dir, durable=False) as server:
                assert value_of(server.address, "SELECT 1") == "1"
            assert other.poll() is None
        finally:
            other.kill()


def test_interrupt_of_the_process_group_does_not_reach_postgres(data_dir: Path) -> None:
    with child_with_server(data_dir) as child:
        os.killpg(child.pid, signal.SIGINT)
        output, _ = child.communicate("\n", timeout=30)
    assert output == "alive\n"


def test_data_of_another_postgres_version_is_refused(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False):
        pass
    (data_dir / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="was made by Postgres 16, and this one is 18"):
        EmbeddedPostgres(data_dir).start()


def test_failed_start_shows_the_end_of_the_log_and_frees_the_folder(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False):
        pass
    configuration = data_dir / "cluster" / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text("nonsense without end\n")
    with pytest.raises(EmbeddedPostgresError, match="syntax error in file"):
        EmbeddedPostgres(data_dir, durable=False).start()
    configuration.write_text(good)
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert value_of(server.address, "SELECT 1") == "1"


def test_half_made_cluster_of_a_killed_start_is_made_anew(data_dir: Path) -> None:
    data_dir.mkdir(0o755)
    (data_dir / "lock").touch()
    (data_dir / "cluster.new").mkdir()
    (data_dir / "cluster.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(data_dir, durable=False) as server:
        assert value_of(server.address, "SELECT 1") == "1"
