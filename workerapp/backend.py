"""The Celery result backend on Postgres: states and results as rows, chords joined by the database.

A state, its event and a chord's join commit together: `mark_as_done` and `mark_as_failure` run in one transaction, and
the part that completes a chord publishes the body in that same transaction. So a body runs once, however often a part
is delivered and wherever a worker dies, and no `celery.chord_unlock` task ever polls.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn

import psycopg
from celery import states
from celery.backends.base import BaseBackend
from celery.canvas import Signature, maybe_signature
from celery.exceptions import ChordError, Reject
from celery.result import GroupResult, ResultBase, allow_join_result, result_from_tuple
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps
from psycopg.rows import dict_row

from workerapp.base import acting_for
from workerapp.contract.caller import ORGANIZATION_HEADER
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.contract.tasks import JOIN_FAILURES_HEADER
from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import LOST, Connection, Session, current
from workerapp.db.hints import hints_for

logger = logging.getLogger(__name__)

RECORD = "SELECT record_task_state(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
READ = """
    SELECT *, result::text AS result_text, error::text AS error_text, children::text AS children_text
    FROM read_task(%s)
"""
#: Values that JSON can carry and jsonb cannot, such as the character NUL.
UNSTORABLE = (psycopg.DataError, psycopg.errors.UntranslatableCharacter)


class PostgresBackend(BaseBackend):  # type: ignore[misc]  # Celery has no types
    """Stores states through `record_task_state`, which refuses to touch another organization's row."""

    supports_autoexpire = True
    #: Seconds to go on trying to write a state before the message is handed back to the broker.
    patience = 30.0

    def __init__(self, app: Any, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(app, url=url, **kwargs)
        if url is None:
            raise ValueError("The Postgres result backend needs a URL: db+postgresql://user:password@host/database")
        self._address = DatabaseAddress.parse(url)
        self._hints = hints_for(self._address)
        self._thread = threading.local()

    # ------------------------------------------------------------ states

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """Store the result and return the chord's part in one transaction."""
        self._together(request, super().mark_as_done, task_id, result, request, store_result, state)

    def mark_as_failure(
        self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, **options: Any
    ) -> None:
        """Store the failure, return the chord's part and call the errbacks in one transaction."""
        self._together(request, super().mark_as_failure, task_id, exc, traceback, request, **options)

    def mark_as_revoked(self, task_id: str, reason: str = "", request: Any = None, **options: Any) -> None:
        """Store the revocation and return the chord's part in one transaction."""
        self._together(request, super().mark_as_revoked, task_id, reason, request, **options)

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        row = self._row(task_id, result, state, traceback, request)
        outcome = self._patiently(request, self._write, row)
        if outcome == "refused":
            logger.error("task_state_refused", extra={"task_id": task_id, "state": state, "organization_id": row[1]})
        return result

    def _row(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> tuple[Any, ...]:
        failed = state in self.EXCEPTION_STATES
        started = state == states.STARTED
        encoded = None if started else self.encode(result)
        return (
            task_id,
            self._organization(request),
            state,
            None if failed else encoded,
            encoded if failed else None,
            traceback,
            getattr(request, "task", None),
            getattr(request, "hostname", None),
            getattr(request, "retries", None),
            (getattr(request, "delivery_info", None) or {}).get("routing_key"),
            getattr(request, "root_id", None),
            getattr(request, "parent_id", None),
            getattr(request, "group", None),
            None if request is None else dumps(self.current_task_children(request) or []),
        )

    def _write(self, row: tuple[Any, ...]) -> str:
        connection = self._open_connection or self._session.connection()
        try:
            written = connection.execute(RECORD, row).fetchone()
        except UNSTORABLE as error:
            raise EncodeError(f"The result cannot be stored as JSON: {error.diag.message_primary}") from error
        if self._open_connection is None:
            self._hints.news(EVENT_CHANNEL)
        assert written is not None
        return str(written[0])

    def _organization(self, request: Any) -> str | None:
        own = getattr(request, ORGANIZATION_HEADER, None)
        if own is None:
            own = getattr(acting_for.get(), ORGANIZATION_HEADER, None)
        organization: str | None = own or self.app.conf.get("default_organization")
        return organization

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        meta = self._patiently(None, self._read, task_id)
        if meta is None:
            return {"task_id": task_id, "status": states.PENDING, "result": None, "traceback": None, "children": []}
        decoded: dict[str, Any] = self.meta_from_decoded(meta)
        return decoded

    def _read(self, task_id: str) -> dict[str, Any] | None:
        with self._session.connection().cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(READ, (task_id,)).fetchone()
        if row is None:
            return None
        failed = row["state"] in self.EXCEPTION_STATES
        value = row["error_text"] if failed else row["result_text"]
        return {
            "task_id": task_id,
            "status": row["state"],
            "result": None if value is None else self.decode(value),
            "traceback": row["traceback"],
            "children": self.decode(row["children_text"] or "[]"),
            "date_done": row["finished_at"],
            "name": row["name"],
            "worker": row["worker"],
            "retries": row["retries"],
            "queue": row["queue"],
            "group_id": row["group_id"],
            "parent_id": row["parent_id"],
        }

    def _forget(self, task_id: str) -> None:
        self._patiently(None, self._execute, "SELECT forget_task(%s)", (task_id,))

    # ------------------------------------------------------------ groups and chords

    def _save_group(self, group_id: str, result: ResultBase) -> ResultBase:
        header = dumps(result.as_tuple())
        self._execute("SELECT begin_chord(%s, %s, NULL, %s)", (group_id, self._current_organization(), header))
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        row = self._fetch("SELECT header::text FROM read_chord(%s)", (group_id,))
        if row is None or row[0] is None:
            return None
        return {"result": result_from_tuple(self.decode(row[0]), self.app)}

    def _delete_group(self, group_id: str) -> None:
        self._execute("SELECT delete_chord(%s)", (group_id,))

    def apply_chord(self, header_result_args: Any, body: Signature, **_: Any) -> None:
        """Remember the body; it joins the transaction in the context, so a chord is never half begun."""
        header = self.app.GroupResult(*header_result_args)
        nested = any(isinstance(result, GroupResult) for result in header.results)
        row = (header.id, self._current_organization(), dumps(body), dumps(header.as_tuple()) if nested else None)
        self._execute("SELECT begin_chord(%s, %s, %s, %s)", row)

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Tell how many parts must return; fires the body when all of them already have."""
        with self._transaction():
            row = self._fetch("SELECT set_chord_size(%s, %s)", (group_id, chord_size))
            if row is not None and row[0]:
                self._fire(group_id, None)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Count the part, once however often it returns; the last one publishes the body."""
        group_id, task_id = request.group, request.id
        if not group_id or not task_id:
            return
        part = (
            group_id,
            self._organization(request),
            task_id,
            request.group_index,
            state,
            self.encode(self.encode_result(result, state)),
        )
        with self._transaction():
            row = self._fetch("SELECT return_chord_part(%s, %s, %s, %s, %s, %s)", part)
            if row is not None and row[0]:
                self._fire(group_id, request.chord)

    def _fire(self, group_id: str, body: Any) -> None:
        if body is None:
            row = self._fetch("SELECT body::text FROM read_chord(%s)", (group_id,))
            body = None if row is None or row[0] is None else self.decode(row[0])
        callback = maybe_signature(body, app=self.app)
        if callback is None:
            return
        try:
            results = self._join(group_id, keep_failures=_joins_failures(callback))
            with self._transaction():
                callback.delay(results)
        except ChordError as error:
            self.chord_error_from_stack(callback, error)
        except LOST:
            raise
        except Exception as error:
            logger.exception("chord_body_not_published", extra={"group_id": group_id})
            self.chord_error_from_stack(callback, ChordError(f"Callback error: {error!r}"))

    def _join(self, group_id: str, *, keep_failures: bool) -> list[Any]:
        """The results of the header in its order.

        Raises:
            ChordError: a part failed, unless failures are kept, as `None` in the part's place.
        """
        parts = self._execute("SELECT task_id, state, result::text FROM read_chord_parts(%s)", (group_id,)).fetchall()
        results = []
        for task_id, state, text in parts:
            value = self.decode(text)
            if state in states.PROPAGATE_STATES and not keep_failures:
                error = self.exception_to_python(value)
                raise ChordError(f"Dependency {task_id} raised {error!r}") from error
            results.append(None if state in states.PROPAGATE_STATES else value)
        nested = None if keep_failures else self.restore_group(group_id, cache=False)
        return results if nested is None else self._join_nested(nested)

    def _join_nested(self, header: GroupResult) -> list[Any]:
        """A header made of groups or chords keeps its shape, so its results are read through Celery's own tree."""
        header.on_ready()
        with allow_join_result():
            return list(header.join(timeout=self.app.conf.result_chord_join_timeout, propagate=True))

    # ------------------------------------------------------------ transactions

    def _together(self, request: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run all the writes of `function` in one transaction, and all of them again if the database went away."""

        def attempt() -> None:
            with self._transaction() if _is_linked(request) else nullcontext():
                function(*args, **kwargs)

        token = acting_for.set(request or acting_for.get())
        try:
            self._patiently(request, attempt)
        finally:
            acting_for.reset(token)

    def _patiently(self, request: Any, function: Callable[..., Any], *args: Any) -> Any:
        if self._open_connection is not None:
            return function(*args)
        deadline = time.monotonic() + self.patience
        pause = 0.05
        while True:
            try:
                return function(*args)
            except LOST as error:
                logger.warning("result_backend_unavailable", extra={"error": type(error).__name__})
                if time.monotonic() + pause > deadline:
                    self._give_up(request, error)
                self._session.close()
                time.sleep(pause)
                pause = min(pause * 2, 2.0)

    def _give_up(self, request: Any, error: Exception) -> NoReturn:
        """Hand a running task's message back to the broker: nothing is acknowledged without its row."""
        if request is None or getattr(request, "called_directly", False):
            raise error
        raise Reject(reason=error, requeue=True) from error

    @property
    def _session(self) -> Session:
        """The connection of this thread."""
        session: Session | None = getattr(self._thread, "session", None)
        if session is None:
            session = self._thread.session = Session(self._address, application_name="result-backend")
        return session

    @property
    def _open_connection(self) -> Connection | None:
        """The connection, while this thread has a transaction of the backend open on it."""
        return getattr(self._thread, "open", None)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A savepoint in the transaction of the context, or a new one that messages published meanwhile join."""
        outer = self._open_connection or current.get()
        if outer is not None:
            with outer.transaction():
                yield outer
            return
        connection = self._session.connection()
        self._thread.open = connection
        try:
            with self._hints.transaction(connection):
                yield connection
                self._hints.news(EVENT_CHANNEL)
        finally:
            self._thread.open = None

    def _execute(self, statement: Any, parameters: tuple[Any, ...]) -> psycopg.Cursor[tuple[Any, ...]]:
        """In the transaction of the context, if there is one; else by itself, on a new connection if it was lost."""
        joined = current.get()
        if joined is not None:
            return joined.execute(statement, parameters)
        return self._session.run(lambda connection: connection.execute(statement, parameters))

    def _fetch(self, statement: Any, parameters: tuple[Any, ...]) -> Any:
        return self._execute(statement, parameters).fetchone()

    def _current_organization(self) -> str | None:
        task = self.app.current_task
        return self._organization(None if task is None else task.request)


def _is_linked(request: Any) -> bool:
    """Whether this task's end makes others begin or end; a lone state is one statement and needs no transaction."""
    return request is not None and bool(request.chord or request.errbacks or request.chain)


def _joins_failures(body: Signature) -> bool:
    return bool((body.options.get("headers") or {}).get(JOIN_FAILURES_HEADER))
