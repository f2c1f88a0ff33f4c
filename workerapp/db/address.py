"""Where the database is: one URL in any of the usual forms, handed to each driver in the form it wants.

Accepted are `postgresql://`, `postgres://`, `postgresql+driver://`, and the origin's `db+postgresql://` and
`sqla+postgresql://`. Sockets (`?host=/path`), TLS (`?sslmode=`, `?sslrootcert=`) and other libpq parameters are kept.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import psycopg.conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SCHEMA = "gateway"
_PREFIXES = ("db+", "sqla+")
_DIALECTS = frozenset({"postgresql", "postgres"})
#: What asyncpg takes under the same name; the rest goes to libpq drivers only.
_ASYNCPG_QUERY = ("host", "port", "user", "password", "dbname")


class AddressInvalid(ValueError):
    """The text is no database URL; the message says what would be one."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A parsed database URL; compare two of them with `same_database`."""

    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, url: str) -> DatabaseAddress:
        """Read a URL.

        Raises:
            AddressInvalid: not a Postgres URL, or a parameter that libpq does not know.
        """
        try:
            parsed = make_url(_strip_prefix(url.strip()))
        except (ArgumentError, ValueError) as error:
            raise AddressInvalid(_expected("This is not a URL")) from error
        if parsed.get_backend_name() not in _DIALECTS:
            raise AddressInvalid(_expected(f"{parsed.drivername}:// is not a Postgres URL"))
        parameters = _parameters(parsed)
        try:
            psycopg.conninfo.make_conninfo("", **parameters)
        except psycopg.ProgrammingError as error:
            raise AddressInvalid(_expected(f"The URL has a parameter Postgres does not know ({error})")) from error
        return cls(tuple(sorted(parameters.items())))

    @staticmethod
    def names_postgres(url: str) -> bool:
        """Whether the URL means Postgres in any of the accepted forms."""
        scheme = _strip_prefix(url.strip()).partition("://")[0].partition("+")[0]
        return scheme in _DIALECTS

    def same_database(self, other: DatabaseAddress) -> bool:
        """Whether both mean the same database, whoever logs in."""
        return self._identity() == other._identity()

    def conninfo(self, *, role: str | None = None, **extra: Any) -> str:
        """A libpq connection string; `role` becomes the session's role from its first statement on."""
        parameters = dict(self.parameters) | {key: str(value) for key, value in extra.items()}
        options = [parameters.pop("options", ""), f"-c search_path={SCHEMA}"]
        if role is not None:
            options.append(f"-c role={role}")
        parameters["options"] = " ".join(filter(None, options))
        return psycopg.conninfo.make_conninfo("", **parameters)

    def sqlalchemy_url(self, driver: str) -> URL:
        """A SQLAlchemy URL for `psycopg`, or for `asyncpg` (sockets included)."""
        parameters = dict(self.parameters)
        host, port = parameters.pop("host", None), parameters.pop("port", None)
        query: dict[str, str] = {}
        if host is not None and (host.startswith("/") or "," in host):
            query, host = {"host": host}, None
        if driver == "psycopg":
            query |= {key: value for key, value in parameters.items() if key not in ("user", "password", "dbname")}
        return URL.create(
            f"postgresql+{driver}",
            username=parameters.get("user"),
            password=parameters.get("password"),
            host=host,
            port=int(port) if port else None,
            database=parameters.get("dbname"),
            query=query,
        )

    def asyncpg_arguments(self, *, role: str, application_name: str = "gateway") -> dict[str, Any]:
        """Keyword arguments for `asyncpg.connect`; through SQLAlchemy they are its `connect_args`."""
        parameters = dict(self.parameters)
        arguments: dict[str, Any] = {
            "server_settings": {"role": role, "search_path": SCHEMA, "application_name": application_name}
        }
        if "connect_timeout" in parameters:
            arguments["timeout"] = float(parameters["connect_timeout"])
        mode = parameters.get("sslmode")
        if mode is not None:
            arguments["ssl"] = _ssl_argument(mode, parameters)
        return arguments

    def asyncpg_target(self) -> dict[str, Any]:
        """Keyword arguments for `asyncpg.connect` that say where and as whom."""
        parameters = dict(self.parameters)
        names = {"dbname": "database"}
        target: dict[str, Any] = {names.get(key, key): parameters[key] for key in _ASYNCPG_QUERY if key in parameters}
        if "port" in target:
            target["port"] = int(target["port"])
        return target

    def redacted(self) -> str:
        """The address without its password, for messages and logs."""
        parameters = dict(self.parameters)
        where = f"{parameters.get('host', 'localhost')}:{parameters.get('port', '5432')}"
        return f"postgresql://{parameters.get('user', '')}@{where}/{parameters.get('dbname', '')}"

    def _identity(self) -> dict[str, str]:
        defaults = {"host": "localhost", "port": "5432"}
        parameters = {
            key: value for key, value in self.parameters if key in ("host", "port", "dbname", "hostaddr", "service")
        }
        return defaults | parameters


def _strip_prefix(url: str) -> str:
    for prefix in _PREFIXES:
        if url.startswith(prefix):
            return url.removeprefix(prefix)
    return url


def _parameters(url: URL) -> dict[str, str]:
    named = {
        "host": url.host,
        "port": str(url.port) if url.port else None,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
    }
    query = {key: value if isinstance(value, str) else ",".join(value) for key, value in url.query.items()}
    return {key: unquote(value) if key == "host" else value for key, value in (named | query).items() if value}


def _expected(problem: str) -> str:
    return f"{problem}; expected something like postgresql://user:password@host:5432/database"


def _ssl_argument(mode: str, parameters: dict[str, str]) -> Any:
    """Asyncpg reads modes by name but wants certificates as a context."""
    if "sslrootcert" not in parameters or mode not in ("verify-ca", "verify-full"):
        return mode
    context = ssl.create_default_context(cafile=parameters["sslrootcert"])
    context.check_hostname = mode == "verify-full"
    if "sslcert" in parameters:
        context.load_cert_chain(parameters["sslcert"], parameters.get("sslkey"))
    return context
