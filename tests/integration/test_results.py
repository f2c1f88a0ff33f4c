"""Reading results and waiting for them, by hint and not by polling; errors, progress, groups, an absent database."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from celery import group, states
from celery.app.task import Context
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as Expired
from celery.result import AsyncResult, GroupResult

from tests.integration.canvas import CANVAS_TASKS, NOBODY, PATIENCE, Canvas, canvas, canvas_app, canvas_worker
from tests.postgres import TestDatabase
from tests.records import add_organization, connect
from tests.stack import canvas_tasks as tasks
from tests.stack import extra_tasks as extra
from tests.stack.services import EXTRA_TASKS, Worker
from tests.waiting import until
from workerapp.app import WorkerApp
from workerapp.db.ear import LINGER
from workerapp.db.link import KEPT

#: An interval that no test waits for: what ends earlier was woken.
NEVER = 60.0


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    # Listeners are counted here, and whoever sends webhooks is one.
    environment = {"GATEWAY_RESULT_MAX_BYTES": "20000", "GATEWAY_WEBHOOK_CONCURRENCY": "0"}
    with canvas_worker(module_database, environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def app(module_database: TestDatabase) -> Iterator[WorkerApp]:
    with canvas_app(module_database) as made:
        yield made


@pytest.fixture
def our(app: WorkerApp, module_database: TestDatabase) -> Iterator[Canvas]:
    with canvas(app, module_database) as ours:
        yield ours


# ---------------------------------------------------------------- waiting
def test_waiting_is_woken_by_the_hint(our: Canvas, worker: Worker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = our.call(tasks.wait_for.s(str(gate)))
    until(Path(f"{gate}.begun").exists)
    threading.Timer(0.3, gate.touch).start()
    began = time.monotonic()
    assert result.get(timeout=PATIENCE, interval=NEVER) == "waited"
    assert time.monotonic() - began < PATIENCE / 4


def test_group_is_waited_for_with_hints_too(our: Canvas, worker: Worker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = our.call(group(tasks.wait_for.s(str(gate)), extra.add.s(1, 1), extra.add.s(2, 2)))
    threading.Timer(0.3, gate.touch).start()
    assert result.join_native(timeout=PATIENCE, interval=NEVER) == ["waited", 2, 4]
    assert result.join(timeout=1) == ["waited", 2, 4]
    assert [result.completed_count(), result.successful(), result.ready(), result.failed()] == [3, True, True, False]


def test_hint_that_is_lost_costs_an_interval_and_no_more(our: Canvas) -> None:
    result = our.call(extra.add.s(1, 1), queue=NOBODY)
    finish = "UPDATE task SET state = 'SUCCESS', result = '7', finished_at = now() WHERE id = %s"
    threading.Timer(0.2, our.admin.execute, (finish, (result.id,))).start()
    assert result.get(timeout=PATIENCE, interval=0.3) == 7


def test_timeout_is_kept(our: Canvas) -> None:
    result = our.call(group(extra.add.s(1, 1), extra.add.s(1, 1)).set(queue=NOBODY), queue=NOBODY)
    for wait in (result.results[0].get, result.get, result.join):
        began = time.monotonic()
        with pytest.raises(Expired):
            wait(timeout=0.3, interval=NEVER)
        assert 0.3 <= time.monotonic() - began < 5
    with pytest.raises(Expired):
        result.get(timeout=0)


def test_group_in_a_group_keeps_its_timeout(our: Canvas) -> None:
    inner = our.call(group(extra.add.s(1, 1), extra.add.s(2, 2)), queue=NOBODY)
    outer = our.app.GroupResult(str(uuid4()), [inner])
    with pytest.raises(Expired):
        outer.get(timeout=0.2)
    finish(our, inner.results[0].id, 2)
    finish(our, inner.results[1].id, 4)
    assert outer.get(timeout=PATIENCE) == [[2, 4]]


def finish(our: Canvas, task_id: str, result: Any) -> None:
    our.admin.execute(
        "UPDATE task SET state = 'SUCCESS', result = %s, finished_at = now() WHERE id = %s",
        (json.dumps(result), task_id),
    )


def test_callbacks_are_called_while_waiting(our: Canvas, worker: Worker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = our.call(group(tasks.wait_for.s(str(gate))))
    asked: list[float] = []
    found: list[tuple[str, Any]] = []

    def ask() -> None:
        asked.append(time.monotonic())
        if len(asked) == 3:
            gate.touch()

    result.get(timeout=PATIENCE, interval=0.1, on_interval=ask, callback=lambda *member: found.append(member))
    assert found == [(result.results[0].id, "waited")]
    assert len(asked) >= 3


def test_members_come_as_they_end(our: Canvas, worker: Worker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = our.call(group(tasks.wait_for.s(str(gate)), extra.add.s(1, 1)))
    order = []
    for task_id, meta in result.iter_native(timeout=PATIENCE):
        order.append((task_id, meta["result"]))
        gate.touch()
    assert order == [(result.results[1].id, 2), (result.results[0].id, "waited")]


def test_every_change_is_told_to_who_asks(our: Canvas, worker: Worker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = our.call(tasks.tell_progress.s(2, str(gate)))
    told: list[tuple[str, Any]] = []

    def tell(meta: dict[str, Any]) -> None:
        told.append((meta["status"], meta["result"]))
        if told[-1] == ("WORKING", {"step": 2, "of": 2}):
            gate.touch()

    assert result.get(timeout=PATIENCE, on_message=tell) == "told"
    assert told[-2:] == [("WORKING", {"step": 2, "of": 2}), ("SUCCESS", "told")]


def test_threads_wait_at_once_and_leave_no_connection(module_database: TestDatabase, worker: Worker) -> None:
    with canvas_app(module_database) as app, canvas(app, module_database) as our:
        results = [our.call(extra.hold.s(0.2)) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda result: result.get(timeout=PATIENCE, interval=NEVER), results))
        assert got == ["held"] * 8
        assert len(app.backend._link._sessions._idle) <= KEPT
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%gateway_event%%' AND datname = %s"
    with connect(module_database.admin_url) as admin:
        until(lambda: admin.execute(listening, (admin.info.dbname,)).fetchone() == (0,), 2 * LINGER + 5)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("arguments", "type_name", "message"),
    [
        (("value", "bad input"), "ValueError", "bad input"),
        (("key", "gone"), "KeyError", "'gone'"),
        (("strange", "this", "that"), "UnpickleableExceptionWrapper", "this and that"),
        (("local", "made here"), "PermanentError", "made here"),
        (("object",), "PermanentError", "<object object at"),
        (("character",), "PermanentError", "before \ufffd after"),
    ],
)
def test_exceptions_come_back(
    arguments: tuple[str, ...], type_name: str, message: str, our: Canvas, worker: Worker
) -> None:
    result = our.call(tasks.refuse.s(*arguments))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the parameters tell which
        result.get(timeout=PATIENCE)
    assert type(caught.value).__name__ == type_name
    assert message in str(caught.value)
    assert result.failed()
    assert "Traceback" in result.traceback
    told = our.app.AsyncResult(result.id).get(propagate=False)
    assert type(told).__name__ == type_name


def test_error_is_told_by_its_own_name_even_if_nobody_can_make_it_again(our: Canvas, worker: Worker) -> None:
    task_id = our.call(tasks.refuse.s("strange", "this", "that")).id
    assert our.ended(task_id) == "FAILURE"
    assert our.column(task_id, "error->>'exc_type'") == "StrangeError"
    assert our.column(task_id, "task_error_message(error)") == "this and that"


def test_exception_of_a_module_that_is_not_there_keeps_its_name(our: Canvas) -> None:
    task_id = our.call(extra.add.s(1, 1), queue=NOBODY).id
    error = {"exc_type": "Refused", "exc_module": "of.some.other.service", "exc_message": ["no", 3]}
    finish = "UPDATE task SET state = 'FAILURE', error = %s, finished_at = now() WHERE id = %s"
    our.admin.execute(finish, (json.dumps(error), task_id))
    with pytest.raises(Exception, match="no") as caught:
        our.app.AsyncResult(task_id).get(timeout=PATIENCE)
    assert (type(caught.value).__name__, caught.value.args) == ("Refused", ("no", 3))


def test_failure_among_many_is_raised_or_given(our: Canvas, worker: Worker) -> None:
    result = our.call(group(extra.add.s(1, 1), tasks.refuse.s("value", "bad")))
    with pytest.raises(ValueError, match="bad"):
        result.get(timeout=PATIENCE)
    first, second = result.join(timeout=PATIENCE, propagate=False)
    assert first == 2
    assert isinstance(second, ValueError)
    assert result.failed()


def test_result_that_is_too_large_fails_its_task(our: Canvas, worker: Worker) -> None:
    assert len(our.get(tasks.swell.s(19_000))) == 19_000
    with pytest.raises(Exception, match=r"has 30002 bytes as JSON and may have 20000 \(result_max_bytes\)") as caught:
        our.get(tasks.swell.s(30_000))
    assert type(caught.value).__name__ == "ResultTooLarge"


def test_error_that_is_too_large_is_cut(our: Canvas, worker: Worker) -> None:
    result = our.call(tasks.refuse.s("value", "much " * 10_000))
    with pytest.raises(ValueError, match="much much"):
        result.get(timeout=PATIENCE)
    assert our.column(result.id, "octet_length(error::text) < 20000") is True


def test_task_can_judge_itself(our: Canvas, worker: Worker) -> None:
    with pytest.raises(ValueError, match="by hand"):
        our.get(tasks.judge_itself.s())


# ---------------------------------------------------------------- states
def test_progress_is_told_by_every_event_and_stays(our: Canvas, worker: Worker) -> None:
    result = our.call(tasks.tell_progress.s(2))
    assert result.get(timeout=PATIENCE) == "told"
    assert our.events(result.id) == ["pending", "started", "progress", "progress", "succeeded"]
    data = "SELECT data->'progress' FROM task_event WHERE subject_id = %s AND type = 'task.progress' ORDER BY seq"
    assert our.admin.execute(data, (result.id,)).fetchall() == [({"step": 1, "of": 2},), ({"step": 2, "of": 2},)]
    assert our.column(result.id, "progress") == {"step": 2, "of": 2}


def test_state_of_its_own_reads_as_in_celery(our: Canvas, worker: Worker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = our.call(tasks.tell_progress.s(1, str(gate)))
    until(lambda: our.app.AsyncResult(result.id).state == "WORKING")
    assert our.app.AsyncResult(result.id).info == {"step": 1, "of": 1}
    gate.touch()
    assert result.get(timeout=PATIENCE) == "told"


def test_task_that_has_begun_tells_where(our: Canvas, worker: Worker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    result = our.call(tasks.wait_for.s(str(gate)))
    until(lambda: result.state == states.STARTED)
    assert result.info == {"hostname": worker.name}
    gate.touch()
    result.get(timeout=PATIENCE)
    assert [result.name, result.worker, result.queue, result.retries] == ["tests.wait_for", worker.name, "celery", 0]
    assert result.date_done is not None


def test_task_whose_result_is_ignored_ends_without_it(our: Canvas, worker: Worker) -> None:
    result = our.call(tasks.keep_quiet.s())
    assert our.ended(result.id) == "SUCCESS"
    assert our.column(result.id, "result") is None
    assert our.events(result.id) == ["pending", "succeeded"]
    failed = our.call(tasks.keep_quiet.s(fails=True))
    assert our.ended(failed.id) == "FAILURE"
    assert our.column(failed.id, "task_error_message(error)") == "quietly"
    ignored = our.call(extra.add.s(1, 1), ignore_result=True)
    assert ignored.get() is None
    assert our.ended(ignored.id) == "SUCCESS"


def test_ignored_result_of_an_unknown_task_makes_no_row(our: Canvas) -> None:
    task_id = str(uuid4())
    request = Context(id=task_id, organization_id=str(our.organization_id), ignore_result=True)
    our.app.backend.mark_as_done(task_id, 1, request)
    assert our.column(task_id, "state") is None
    assert not our.app.AsyncResult(task_id).exists()


def test_a_task_that_no_worker_has_does_not_end_its_worker(our: Canvas, worker: Worker) -> None:
    our.app.send_task("tests.unheard_of", headers={"organization_id": str(our.organization_id)})
    worker.wait_for("Received unregistered task of type 'tests.unheard_of'")
    assert our.call(extra.add.s(1, 1)).get(timeout=PATIENCE) == 2


def test_forgotten_result_is_gone_and_its_state_stays(our: Canvas, worker: Worker) -> None:
    result = our.call(extra.give.s({"secret": 1}))
    result.get(timeout=PATIENCE)
    result.forget()
    assert our.column(result.id, "result") is None
    again = our.app.AsyncResult(result.id)
    assert (again.state, again.result) == ("SUCCESS", None)


def test_revoked_task_raises(our: Canvas, worker: Worker) -> None:
    result = our.call(extra.add.s(1, 1), countdown=1)
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=PATIENCE)
    assert our.events(result.id) == ["pending", "revoked"]


# ---------------------------------------------------------------- groups
def test_group_is_saved_and_restored_by_another_process(our: Canvas, worker: Worker) -> None:
    result = our.call(group(extra.add.s(1, 1), extra.add.s(2, 2)))
    result.save()
    restored = GroupResult.restore(result.id, app=our.app)
    assert restored == result
    assert restored.get(timeout=PATIENCE) == [2, 4]
    restored.delete()
    our.app.backend._cache.clear()
    assert GroupResult.restore(result.id, app=our.app) is None


def test_group_is_forgotten_and_revoked_as_a_whole(our: Canvas, worker: Worker) -> None:
    done = our.call(group(extra.add.s(1, 1), extra.add.s(2, 2)))
    done.get(timeout=PATIENCE)
    done.forget()
    assert [our.column(member.id, "result") for member in done] == [None, None]
    late = our.call(group(extra.add.s(1, 1), extra.add.s(2, 2)), countdown=1)
    late.revoke()
    with pytest.raises(TaskRevokedError):
        late.get(timeout=PATIENCE)
    assert {our.ended(member.id) for member in late} == {"REVOKED"}


def test_result_survives_pickling(our: Canvas, worker: Worker) -> None:
    result = our.call(extra.add.s(1, 1))
    assert pickle.loads(pickle.dumps(result)).get(timeout=PATIENCE) == 2


# ---------------------------------------------------------------- the database away, locks, retention
def test_message_goes_back_when_the_end_of_its_task_cannot_be_written(
    database: TestDatabase, reachable_folder: Path
) -> None:
    gate = reachable_folder / "gate"
    impatient = {"GATEWAY_RESULT_PATIENCE_SECONDS": "0.5"}
    worker = Worker(database, concurrency=1, include=(EXTRA_TASKS, CANVAS_TASKS), environment=impatient)
    with canvas_app(database) as app, canvas(app, database) as our, worker:
        task_id = our.call(tasks.wait_for.s(str(gate))).id
        until(Path(f"{gate}.begun").exists)
        with _unreachable(our.admin):
            gate.touch()
            worker.wait_for(f"task_handed_back .*{task_id}")
        assert our.ended(task_id) == "SUCCESS"
        assert our.events(task_id) == ["pending", "started", "succeeded"]
        # What a worker says comes through a pipe, and so may come after what it did.
        until(lambda: len(worker.lines(rf"tests.wait_for\[{task_id}\] received")) >= 2)


class _unreachable:  # noqa: N801 - reads as a statement
    """Nobody may log in any more, and nobody is."""

    def __init__(self, admin: psycopg.Connection) -> None:
        self._admin = admin
        self._server = psycopg.conninfo.make_conninfo(admin.info.dsn, dbname="postgres", password=admin.info.password)

    def __enter__(self) -> None:
        self._allow("false")
        self._admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def __exit__(self, *_: object) -> None:
        self._allow("true")

    def _allow(self, yes: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as server:
            server.execute(f'ALTER DATABASE "{self._admin.info.dbname}" ALLOW_CONNECTIONS {yes}'.encode())


def test_deadlock_is_tried_again(our: Canvas, module_database: TestDatabase, caplog: pytest.LogCaptureFixture) -> None:
    """Postgres looks for a deadlock once in each wait; the other side never looks, so the backend has to give way."""
    with caplog.at_level(logging.INFO, logger="workerapp.db.link"):
        until(lambda: _collide(our, module_database) or "result_backend_gave_way" in caplog.messages, 60)
    assert "result_backend_gave_way" in caplog.messages


def _collide(our: Canvas, database: TestDatabase) -> None:
    """Lock each other out; a machine so busy that the backend looked before there was a deadlock comes to nothing."""
    task_id, chord_id = str(uuid4()), str(uuid4())
    request = Context(id=task_id, group=chord_id, chord={"task": "x"}, organization_id=str(our.organization_id))
    our.app.backend.store_result(task_id, None, states.STARTED, request=request)
    our.app.backend._link.execute("SELECT begin_chord(%s, %s, NULL, NULL)", (chord_id, our.organization_id))
    with connect(database.admin_url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout = '1h'")
        other.execute("SET lock_timeout = '5s'")
        with suppress(psycopg.errors.LockNotAvailable), other.transaction():
            other.execute("SELECT FROM chord WHERE group_id = %s FOR UPDATE", (chord_id,))
            ended = pool.submit(our.app.backend.mark_as_done, task_id, 1, request)
            until(lambda: _waits_for_a_lock(our.admin))
            other.execute("SELECT FROM task WHERE id = %s FOR UPDATE", (task_id,))
        ended.result(PATIENCE)
    assert our.column(task_id, "state") == "SUCCESS"


def _waits_for_a_lock(admin: psycopg.Connection) -> bool:
    statement = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        " AND query LIKE '%end_chord_part%'"
    )
    return admin.execute(statement).fetchone() != (0,)


def test_cleanup_removes_what_this_app_has_let_expire(module_database: TestDatabase) -> None:
    with connect(module_database.admin_url) as admin:
        organization_id = add_organization(admin)
    with canvas_app(module_database, default_organization=organization_id) as app:
        backend = app.backend
        backend.expires = 3600
        old, young, others = str(uuid4()), str(uuid4()), str(uuid4())
        for task_id, name in ((old, "tests.add"), (young, "tests.add"), (others, "not.ours")):
            backend.store_result(task_id, 1, states.SUCCESS, request=Context(id=task_id, task=name))
        with connect(module_database.admin_url) as admin:
            admin.execute(
                "UPDATE task SET finished_at = now() - interval '2 hours' WHERE id = ANY (%s)", ([old, others],)
            )
            backend.cleanup()
            left = admin.execute("SELECT id FROM task WHERE organization_id = %s", (organization_id,)).fetchall()
        assert {row[0] for row in left} == {young, others}
        assert AsyncResult(old, app=app).state == "PENDING"
