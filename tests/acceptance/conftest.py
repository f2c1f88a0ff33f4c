"""A whole deployment for each module: Postgres, a gateway and a worker as processes of their own, and their callers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from playwright.sync_api import Browser

from tests.postgres import TestDatabase
from tests.records import connect
from tests.shared_data import shared_folder
from tests.stack.application import Application, application
from tests.stack.browser import running_browser
from tests.stack.client import Client, new_client
from tests.stack.services import Gateway, RecordedEndpoint, Worker


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    with Gateway(module_database) as running:
        yield running


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    with Worker(module_database) as running:
        yield running


@pytest.fixture
def make_client(module_database: TestDatabase, gateway: Gateway) -> Iterator[Callable[[], Client]]:
    """Makes clients, each of a new organization."""
    with ExitStack() as clients:
        yield lambda: clients.enter_context(new_client(module_database, gateway.url, f"organization {uuid4()}"))


@pytest.fixture
def client(make_client: Callable[[], Client]) -> Client:
    return make_client()


@pytest.fixture
def admin(module_database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(module_database.admin_url) as connection:
        yield connection


@pytest.fixture(scope="session")
def shared() -> Path:
    """The recorded model answers, which are not part of the project."""
    return shared_folder()


@pytest.fixture(scope="module")
def recorded(shared: Path) -> Iterator[RecordedEndpoint]:
    """Every question answered, at once."""
    with RecordedEndpoint(shared) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def app() -> Iterator[Application]:
    """An application under test that the test steers."""
    with application() as running:
        yield running
