"""How a database URL gets through kombu: whole, and without its password in sight."""

from __future__ import annotations

import pytest
from kombu import Connection

from workerapp import broker
from workerapp.broker import Transport
from workerapp.db.address import AddressInvalid, DatabaseAddress

URLS = (
    "postgresql://anna:p%40ss%3Aw@db.example:6543/queue?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem",
    "postgres://anna:secret@db.example/queue",
    "postgresql+psycopg://anna:secret@db.example/queue",
    "sqla+postgresql://anna:secret@db.example/queue?connect_timeout=3",
    "postgresql:///queue?host=%2Frun%2Fpostgres%20data&user=anna&password=secret",
)


@pytest.fixture(autouse=True)
def _registered() -> None:
    broker.register()


@pytest.mark.parametrize("url", URLS)
def test_whole_url_reaches_the_transport(url: str) -> None:
    transport = Connection(url).transport
    assert isinstance(transport, Transport)
    assert transport.address == DatabaseAddress.parse(url)


@pytest.mark.parametrize("url", URLS)
def test_clone_of_a_connection_means_the_same_database(url: str) -> None:
    first = Connection(url)
    transport = first.clone().clone().transport
    assert isinstance(transport, Transport)
    assert transport.address == DatabaseAddress.parse(url)


@pytest.mark.parametrize("url", URLS)
def test_password_shows_neither_in_the_uri_nor_in_what_inspect_tells(url: str) -> None:
    connection = Connection(url)
    told = connection.info()
    told.pop("password")  # as Celery does
    shown = f"{connection.as_uri()} {connection!r} {told}"
    assert "secret" not in shown
    assert "p@ss" not in shown
    assert "p%40ss" not in shown


def test_transport_can_be_named_by_its_class() -> None:
    transport = Connection("postgresql://db.example/queue", transport="workerapp.broker:Transport").transport
    assert isinstance(transport, Transport)


def test_separate_user_and_password_are_used() -> None:
    transport = Connection("postgresql://db.example/queue", userid="anna", password="secret").transport
    assert isinstance(transport, Transport)
    assert transport.address == DatabaseAddress.parse("postgresql://anna:secret@db.example/queue")


def test_other_databases_are_refused_with_a_sentence() -> None:
    with pytest.raises(AddressInvalid, match="mysql:// is not a Postgres URL"):
        _ = Connection("sqla+mysql://db.example/queue").transport
