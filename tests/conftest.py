"""Fixtures for the whole suite: a real Postgres, and for each test a migrated database of its own."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from tests.postgres import (
    PostgresServer,
    ServerKind,
    TestDatabase,
    copied_database,
    migrated_template,
    running_server,
)

pytest_plugins = ["tests.stack.report", "tests.conformance", "tests.scheduling"]

# How long an example takes says nothing on a busy machine, and a test leaves no files behind.
hypothesis.settings.register_profile("suite", deadline=None, database=None)
hypothesis.settings.load_profile("suite")


def pytest_configure() -> None:
    """A suite in the background of a script was started with SIGINT ignored, and so would be all that it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        choices=[kind.value for kind in ServerKind],
        default=ServerKind.EMBEDDED.value,
        help="the wheel's Postgres, or the server at GATEWAY_TEST_POSTGRES_URL with the schema made by a superuser or "
        "by a plain owner whose roles are already there",
    )


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with running_server(ServerKind(request.config.getoption("--postgres"))) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres: PostgresServer) -> Iterator[str]:
    with migrated_template(postgres) as name:
        yield name


@pytest.fixture
def database(postgres: PostgresServer, template_database: str) -> Iterator[TestDatabase]:
    with copied_database(postgres, template_database) as copy:
        yield copy


@pytest.fixture(scope="module")
def module_database(postgres: PostgresServer, template_database: str) -> Iterator[TestDatabase]:
    """One database for a module whose tests do not mind each other."""
    with copied_database(postgres, template_database) as copy:
        yield copy


@contextmanager
def folder_for_every_account() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gwtest-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """An empty folder every account can enter; pytest's `tmp_path` is closed to the one Postgres runs as for root."""
    with folder_for_every_account() as folder:
        yield folder


@pytest.fixture(scope="module")
def module_folder() -> Iterator[Path]:
    """The same for a module."""
    with folder_for_every_account() as folder:
        yield folder


@pytest.fixture
def data_dir(reachable_folder: Path) -> Path:
    """A data folder for an embedded Postgres of the test's own; not there yet."""
    return reachable_folder / "data"
