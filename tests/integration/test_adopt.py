"""`gateway adopt`: tasks of a Celery app that knows nothing of us, on its own table, as an organization's tasks."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from celery import Celery
from celery.backends.database import DatabaseBackend
from psycopg import sql

from gateway.cli.main import main
from tests.postgres import PostgresServer, TestDatabase
from tests.records import add_organization, add_task, connect
from tests.rest import Gateway, Tenant, add_tenant
from tests.stack.process import Process
from tests.waiting import ended_task
from workerapp.db.address import DatabaseAddress

ORGANIZATION = "adopting"

APP = """
import os
from celery import Celery

folder = os.environ["BROKER_FOLDER"]
app = Celery("stock_app", broker="filesystem://", backend=os.environ["RESULTS"])
app.conf.update(
    broker_transport_options={
        "data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control",
    },
    result_extended=True,
    task_track_started=True,
)

@app.task(name="stock.add")
def add(x, y):
    return x + y

@app.task(name="stock.fail")
def fail():
    raise ValueError("no such thing")

@app.task(name="stock.unsteady", bind=True, max_retries=1)
def unsteady(self):
    if self.request.retries == 0:
        raise self.retry(exc=OSError("away"), countdown=0)
    return {"tries": 2}

@app.task(name="stock.progress", bind=True)
def progress(self):
    self.update_state(state="WORKING", meta={"done": 1})
    return "done"
"""


@dataclass(frozen=True, kw_only=True)
class StockLogin:
    """The login of an app that has no right to anything of ours."""

    role: str
    results: str  # as Celery is given it

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(DatabaseAddress.parse(self.results).conninfo(options="-c client_min_messages=log"))


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def login(postgres: PostgresServer, admin: psycopg.Connection) -> Iterator[StockLogin]:
    with role(postgres, admin, "CREATE") as name:
        url = DatabaseAddress.parse(postgres.as_role(name, admin.info.dbname)).sqlalchemy_url("psycopg")
        yield StockLogin(role=name, results="db+" + url.render_as_string(hide_password=False))


@contextmanager
def role(postgres: PostgresServer, admin: psycopg.Connection, right: str) -> Iterator[str]:
    """A role of one test's own, with a right to the schema `public` and the suite's password."""
    name = f"gwtest_{uuid4().hex[:12]}"
    identifier, password = sql.Identifier(name), sql.Literal(postgres.password)
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(identifier, password))
    try:
        admin.execute(f"GRANT USAGE, {right} ON SCHEMA public TO {name}".encode())
        yield name
    finally:
        admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(identifier))
        admin.execute(sql.SQL("DROP ROLE {}").format(identifier))


def backend_of(login: StockLogin, **conf: Any) -> DatabaseBackend:
    """Celery's own backend, with its tables."""
    app = Celery("stock", backend=login.results, set_as_current=False)
    app.conf.update(conf)
    backend = app.backend
    assert type(backend) is DatabaseBackend
    backend.ResultSession().close()
    return backend


@pytest.fixture
def backend(login: StockLogin) -> DatabaseBackend:
    return backend_of(login)


@pytest.fixture
def adopting(database: TestDatabase, backend: DatabaseBackend) -> Tenant:
    tenant = add_tenant(database, name=ORGANIZATION)
    assert adopt(database) == 0
    return tenant


def adopt(database: TestDatabase, *options: str, organization: str = ORGANIZATION) -> int:
    return main(["adopt", "--database-url", database.admin_url, "--organization", organization, *options])


def stop(database: TestDatabase) -> int:
    return main(["adopt", "--database-url", database.admin_url, "--stop"])


def task(admin: psycopg.Connection, task_id: str, columns: str = "state, result, error, progress") -> Any:
    return admin.execute(f"SELECT {columns} FROM task WHERE id = %s".encode(), (task_id,)).fetchone()


def events(admin: psycopg.Connection, task_id: str) -> list[tuple[int, str]]:
    statement = "SELECT seq, type FROM task_event WHERE subject_id = %s ORDER BY id"
    return admin.execute(statement, (task_id,)).fetchall()


def write_row(login: StockLogin, task_id: str, status: str, payload: bytes | None) -> list[str]:
    """Write a row as the app's login, however old its Celery is; the answer is what the server's log was told."""
    told: list[str] = []
    with login.connect() as connection:
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
        connection.execute(
            "INSERT INTO public.celery_taskmeta (id, task_id, status, result, date_done)"
            " VALUES (nextval('public.task_id_sequence'), %s, %s, %s, '2026-01-02 03:04:05')",
            (task_id, status, payload),
        )
    return told


def has_row(admin: psycopg.Connection, task_id: str) -> bool:
    statement = "SELECT EXISTS (SELECT FROM public.celery_taskmeta WHERE task_id = %s)"
    return admin.execute(statement, (task_id,)).fetchone() == (True,)


# ---------------------------------------------------------------- a real app
async def test_a_worker_that_knows_nothing_of_us_shows_its_tasks(
    served: Gateway, database: TestDatabase, admin: psycopg.Connection, login: StockLogin, tmp_path: Path
) -> None:
    tenant, stranger = add_tenant(database, name=ORGANIZATION), add_tenant(database)
    backend_of(login, result_extended=True)
    assert adopt(database) == 0
    (tmp_path / "stock_app.py").write_text(APP)
    folder = tmp_path / "broker"
    folder.mkdir()
    arguments = ["-m", "celery", "--workdir", str(tmp_path), "-A", "stock_app", "worker", "-P", "solo", "-l", "INFO"]
    with Process("stock worker", arguments, {"BROKER_FOLDER": str(folder), "RESULTS": login.results}) as worker:
        worker.wait_for(r"ready\.$")
        ids = {
            name: publish(folder, name, *args)
            for name, args in (("add", (2, 3)), ("fail", ()), ("unsteady", ()), ("progress", ()))
        }
        ended = {name: ended_task(admin, task_id, 30) for name, task_id in ids.items()}
    assert ended == {"add": "SUCCESS", "fail": "FAILURE", "unsteady": "SUCCESS", "progress": "SUCCESS"}
    assert events(admin, ids["add"]) == [(1, "task.pending"), (2, "task.started"), (3, "task.succeeded")]
    assert events(admin, ids["fail"]) == [(1, "task.pending"), (2, "task.started"), (3, "task.failed")]
    assert [kind for _, kind in events(admin, ids["unsteady"])] == [
        "task.pending", "task.started", "task.retry", "task.started", "task.succeeded"
    ]  # fmt: skip
    assert [kind for _, kind in events(admin, ids["progress"])] == [
        "task.pending", "task.started", "task.progress", "task.succeeded"
    ]  # fmt: skip
    async with served.client(tenant) as client:
        added = (await client.get(f"/v1/tasks/{ids['add']}")).json()
        failed = (await client.get(f"/v1/tasks/{ids['fail']}")).json()
        unsteady = (await client.get(f"/v1/tasks/{ids['unsteady']}")).json()
        working = (await client.get(f"/v1/tasks/{ids['progress']}")).json()
    assert (added["name"], added["status"], added["result"]) == ("stock.add", "SUCCESS", 5)
    assert added["worker"].startswith("celery@")
    assert (added["queue"], added["started_at"] is not None) == ("celery", True)
    assert (failed["error_type"], failed["error"], failed["result"]) == ("ValueError", "no such thing", None)
    assert (unsteady["retries"], unsteady["result"]) == (1, {"tries": 2})
    assert (working["progress"], working["result"]) == ({"done": 1}, "done")
    async with served.client(stranger) as client:
        assert (await client.get(f"/v1/tasks/{ids['add']}")).status_code == 404
        assert (await client.get("/v1/tasks")).json()["items"] == []


def publish(folder: Path, name: str, *args: int) -> str:
    app = Celery("client", broker="filesystem://", set_as_current=False)
    app.conf.broker_transport_options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
    }
    try:
        return str(app.send_task(f"stock.{name}", args).id)
    finally:
        app.close()


# ---------------------------------------------------------------- what is recorded
def test_a_table_without_the_extended_columns_gives_tasks_without_a_name(
    backend: DatabaseBackend, adopting: Tenant, admin: psycopg.Connection
) -> None:
    backend.store_result("plain", {"pid": 1, "hostname": "celery@here"}, "STARTED")
    backend.store_result("plain", [1, "ü"], "SUCCESS")
    assert task(admin, "plain", "organization_id, name, state, result, worker, progress") == (
        *(adopting.organization_id, None, "SUCCESS"),
        *([1, "ü"], "celery@here", None),
    )


def test_an_end_is_an_end_though_the_app_writes_on(
    backend: DatabaseBackend, adopting: Tenant, admin: psycopg.Connection
) -> None:
    backend.store_result("again", ValueError("first"), "FAILURE", traceback="Traceback …")
    backend.store_result("again", 1, "SUCCESS")
    assert backend.get_state("again") == "SUCCESS"
    assert task(admin, "again", "state, result, traceback") == ("FAILURE", None, "Traceback …")
    assert events(admin, "again") == [(1, "task.pending"), (2, "task.failed")]


def test_a_task_that_the_gateway_submitted_is_continued(
    backend: DatabaseBackend, adopting: Tenant, admin: psycopg.Connection
) -> None:
    task_id = add_task(admin, adopting.organization_id)
    backend.store_result(task_id, 1, "SUCCESS")
    assert task(admin, task_id, "name, state, result, seq") == ("echo", "SUCCESS", 1, 2)


@pytest.mark.parametrize("payload", [pickle.dumps({"a": 1}, protocol) for protocol in (2, 3, 4, 5)])
def test_a_pickled_result_is_not_opened_and_the_row_says_so(
    payload: bytes, login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    assert write_row(login, "pickled", "SUCCESS", payload) == []
    note = {"note": "The result is pickled and was not read."}
    assert task(admin, "pickled") == ("SUCCESS", None, None, note)


def test_a_pickled_error_is_not_opened_and_the_error_says_so(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    write_row(login, "pickled", "FAILURE", pickle.dumps(ValueError("x")))
    error = {"exc_type": "NotRead", "exc_message": ["The error is pickled and was not read."]}
    assert task(admin, "pickled") == ("FAILURE", None, error, None)


def test_an_app_that_serializes_with_pickle_is_told_without_results(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    pickling = backend_of(login, result_serializer="pickle", accept_content=["pickle"])
    pickling.store_result("pickled", {"a": 1}, "SUCCESS")
    assert task(admin, "pickled", "state, result, progress->>'note'") == (
        *("SUCCESS", None),
        "The result is pickled and was not read.",
    )


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"plain text", b"", b'"\\u0000"', b"NaN", b"\x80"])
def test_what_is_no_json_is_left_out_and_the_row_says_so(
    payload: bytes, login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    assert write_row(login, "odd", "SUCCESS", payload) == []
    note = {"note": "The result is not JSON that Postgres can hold and was not read."}
    assert task(admin, "odd") == ("SUCCESS", None, None, note)


def test_an_error_that_is_only_text_is_told(login: StockLogin, adopting: Tenant, admin: psycopg.Connection) -> None:
    write_row(login, "text", "FAILURE", b'"it broke"')
    assert task(admin, "text", "error->>'exc_type', task_error_message(error)") == ("Exception", "it broke")


def test_a_result_over_the_limit_is_not_copied(
    database: TestDatabase, backend: DatabaseBackend, adopting: Tenant, admin: psycopg.Connection
) -> None:
    assert adopt(database, "--result-max-bytes", "10") == 0
    backend.store_result("short", "12345678", "SUCCESS")
    backend.store_result("long", "123456789", "SUCCESS")
    assert task(admin, "short") == ("SUCCESS", "12345678", None, None)
    note = {"note": "The result is larger than 10 bytes and was not copied."}
    assert task(admin, "long") == ("SUCCESS", None, None, note)
    assert backend.get_result("long") == "123456789"


# ---------------------------------------------------------------- what never breaks the app
def test_an_id_of_another_organization_is_left_alone(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    task_id = add_task(admin, add_organization(admin))
    reason = "the id is another organization's"
    told = write_row(login, task_id, "SUCCESS", b"1")
    assert told == [f"adopted table public.celery_taskmeta: task {task_id} is not recorded: {reason}"]
    assert has_row(admin, task_id)
    assert task(admin, task_id) == ("PENDING", None, None, None)


def test_the_app_writes_on_when_our_tables_are_broken(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    admin.execute("ALTER TABLE task RENAME TO elsewhere")
    (told,) = write_row(login, "one", "SUCCESS", b"1")
    assert "task one is not recorded: " in told
    assert "(42P01)" in told
    assert has_row(admin, "one")


def test_the_app_writes_on_when_a_row_of_ours_is_locked(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    task_id = add_task(admin, adopting.organization_id)
    with admin.transaction():
        admin.execute("SELECT FROM task WHERE id = %s FOR UPDATE", (task_id,))
        (told,) = write_row(login, task_id, "SUCCESS", b"1")
    assert "(55P03)" in told
    assert has_row(admin, task_id)


def test_the_app_writes_on_when_its_organization_is_gone(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    admin.execute("DELETE FROM organization WHERE id = %s", (adopting.organization_id,))
    (told,) = write_row(login, "one", "SUCCESS", b"1")
    assert told.endswith("the organization is gone")
    assert has_row(admin, "one")


def test_a_session_setting_of_the_app_does_not_stop_the_recording(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    with login.connect() as connection:
        connection.execute("SET row_security = off; SET search_path = public")
        connection.execute(
            "INSERT INTO celery_taskmeta (id, task_id, status, result) VALUES (1, 'one', 'SUCCESS', '7')"
        )
    assert task(admin, "one", "state, result") == ("SUCCESS", 7)


def test_a_write_that_is_rolled_back_leaves_nothing(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    write_row(login, "twice", "STARTED", None)
    with pytest.raises(psycopg.errors.UniqueViolation):
        write_row(login, "twice", "SUCCESS", b"1")
    assert task(admin, "twice") == ("STARTED", None, None, None)


def test_the_owner_of_the_table_cannot_run_its_code_as_us(
    login: StockLogin, adopting: Tenant, admin: psycopg.Connection
) -> None:
    # `to_jsonb` calls casts that users made; inside our function this one would read what is not theirs.
    admin.execute("CREATE TABLE public.seen (who text); GRANT ALL ON public.seen TO PUBLIC")
    with login.connect() as owner:
        owner.execute("CREATE TYPE public.trap AS ENUM ('x')")
        owner.execute(
            "CREATE FUNCTION public.spring(public.trap) RETURNS json LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO public.seen VALUES (current_user); RETURN ''1''; END'"
        )
        owner.execute("CREATE CAST (public.trap AS json) WITH FUNCTION public.spring(public.trap)")
        owner.execute("ALTER TABLE public.celery_taskmeta ADD COLUMN trap public.trap DEFAULT 'x'")
    (told,) = write_row(login, "one", "SUCCESS", b"1")
    assert "a type that is not built in" in told
    assert has_row(admin, "one")
    assert admin.execute("SELECT who FROM public.seen").fetchall() == []
    assert task(admin, "one") is None


def test_the_apps_login_cannot_call_what_records(login: StockLogin, adopting: Tenant) -> None:
    with (
        login.connect() as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT gateway.record_adopted_state(NULL, 1, 'x', 'SUCCESS', NULL, NULL, NULL)")


# ---------------------------------------------------------------- the command
def test_adopting_again_changes_nothing(
    database: TestDatabase, backend: DatabaseBackend, adopting: Tenant, admin: psycopg.Connection
) -> None:
    assert adopt(database) == 0
    backend.store_result("once", 1, "SUCCESS")
    assert events(admin, "once") == [(1, "task.pending"), (2, "task.succeeded")]


def test_a_second_organization_is_refused(
    database: TestDatabase, adopting: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    add_tenant(database, name="second")
    assert adopt(database, organization="second") == 1
    assert f"adopted for another organization ({adopting.organization_id})" in capsys.readouterr().err


def test_stop_ends_it_and_keeps_what_is_known(
    database: TestDatabase,
    backend: DatabaseBackend,
    adopting: Tenant,
    admin: psycopg.Connection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    backend.store_result("before", 1, "SUCCESS")
    assert stop(database) == 0
    backend.store_result("after", 1, "SUCCESS")
    assert (task(admin, "before", "state"), task(admin, "after")) == (("SUCCESS",), None)
    assert stop(database) == 0
    assert "was not adopted" in capsys.readouterr().out


def test_rows_that_were_there_are_imported_in_batches_and_once(
    database: TestDatabase,
    backend: DatabaseBackend,
    login: StockLogin,
    admin: psycopg.Connection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_tenant(database, name=ORGANIZATION)
    write_row(login, "old", "SUCCESS", b"1")
    write_row(login, "pickled", "FAILURE", pickle.dumps(ValueError()))
    for number in range(5):
        backend.store_result(f"under way {number}", None, "STARTED")
    assert adopt(database, "--existing", "--batch", "2") == 0
    assert "Of 7 rows that were there, 7 are recorded" in capsys.readouterr().out
    assert task(admin, "old", "state, result, finished_at::text, created_at = finished_at") == (
        *("SUCCESS", 1),
        *("2026-01-02 03:04:05+00", True),
    )
    assert task(admin, "pickled", "state, error->>'exc_type'") == ("FAILURE", "NotRead")
    assert task(admin, "under way 4", "state, finished_at") == ("STARTED", None)
    assert adopt(database, "--existing") == 0
    assert "Of 7 rows that were there, 0 are recorded" in capsys.readouterr().out
    assert events(admin, "old") == [(1, "task.pending"), (2, "task.succeeded")]


def test_importing_again_records_ends_that_were_missed(
    database: TestDatabase, backend: DatabaseBackend, adopting: Tenant, admin: psycopg.Connection
) -> None:
    backend.store_result("missed", None, "STARTED")
    assert stop(database) == 0
    backend.store_result("missed", 1, "SUCCESS")
    assert adopt(database, "--existing") == 0
    assert events(admin, "missed") == [(1, "task.pending"), (2, "task.started"), (3, "task.succeeded")]


def test_an_operator_who_is_no_superuser_needs_two_rights_to_the_table(
    database: TestDatabase,
    postgres: PostgresServer,
    backend: DatabaseBackend,
    admin: psycopg.Connection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_tenant(database, name=ORGANIZATION)
    with role(postgres, admin, "USAGE") as operator:
        admin.execute(sql.SQL("GRANT definer TO {}").format(sql.Identifier(operator)))
        arguments = ["adopt", "--database-url", postgres.as_role(operator, admin.info.dbname)]
        adopting = [*arguments, "--organization", ORGANIZATION, "--existing"]
        assert main(adopting) == 1
        assert "it needs the rights SELECT and TRIGGER on public.celery_taskmeta" in capsys.readouterr().err
        admin.execute(sql.SQL("GRANT SELECT, TRIGGER ON public.celery_taskmeta TO {}").format(sql.Identifier(operator)))
        backend.store_result("one", 1, "SUCCESS")
        assert main(adopting) == 0
        assert task(admin, "one", "state") == ("SUCCESS",)
        assert main([*arguments, "--stop"]) == 1
        assert "for --stop to own the table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--table", "nowhere"], "there is no table public.nowhere; Celery makes it"),
        (["--schema", "nowhere"], "there is no table nowhere.celery_taskmeta"),
        (["--table", "celery_tasksetmeta"], "is not a table as Celery's database backend makes it without status"),
        (["--organization", "nobody"], "there is no organization 'nobody'"),
    ],
)
def test_what_cannot_be_adopted_is_told_in_a_sentence(
    options: list[str], sentence: str, database: TestDatabase, adopting: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(database, *options) == 1
    assert sentence in capsys.readouterr().err


def test_the_organization_must_be_named(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adopt", "--database-url", database.admin_url]) == 2
    assert "--organization NAME" in capsys.readouterr().err


async def test_the_task_is_listed_and_its_stream_ends(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, backend: DatabaseBackend, admin: psycopg.Connection
) -> None:
    row = admin.execute("SELECT name FROM organization WHERE id = %s", (tenant.organization_id,)).fetchone()
    assert row is not None
    assert adopt(database, organization=row[0]) == 0
    backend.store_result("shown", 7, "SUCCESS")
    assert [item["task_id"] for item in (await api.get("/v1/tasks")).json()["items"]] == ["shown"]
    stream = (await api.get("/v1/tasks/shown/events")).text
    assert '"status":"SUCCESS"' in stream
    assert '"result":7' in stream
