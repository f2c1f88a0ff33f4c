"""Reading results and waiting for them: what AsyncResult and GroupResult ask of the backend.

Who waits is woken by the hint that follows every state change; the `interval` of Celery's calls is only how often to
look all the same, should a hint be lost.
"""

# ruff: noqa: FBT001, FBT002, PLR0917 - the signatures are Celery's
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from celery import states
from celery.exceptions import ImproperlyConfigured
from celery.result import ResultSet
from psycopg.rows import dict_row

from workerapp.contract.events import EVENT_CHANNEL
from workerapp.db.address import DatabaseAddress
from workerapp.db.ear import ear_for
from workerapp.db.link import Link
from workerapp.json_results import JsonResults
from workerapp.patience import Meta, Patience, wait_for_all

READ = """
    SELECT *, result::text AS result_text, error::text AS error_text, progress::text AS progress_text,
           children::text AS children_text
    FROM read_tasks(%s, %s)
"""


class ResultReader(JsonResults):
    """Reads rows as Celery's task metas."""

    supports_native_join = True

    def __init__(self, app: Any, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(app, url=url, **kwargs)
        if url is None:
            raise ImproperlyConfigured(
                "The Postgres result backend needs the address of a database: "
                "workerapp.backend:PostgresBackend+postgresql://user:password@host/database"
            )
        self.thread_safe = True  # one for all threads of the app
        self._address = DatabaseAddress.parse(url)
        self._link = Link(self._address, float(self.app.conf.get("result_patience") or 30))
        self._ear = ear_for(self._address, EVENT_CHANNEL)

    def as_uri(self, include_password: bool = False) -> str:
        return str(self.url) if include_password else self._address.redacted()

    def __reduce__(self, args: Any = (), kwargs: Any = None) -> Any:
        return super().__reduce__(args, {**(kwargs or {}), "url": self.url})

    # ------------------------------------------------------------ reading
    def _get_task_meta_for(self, task_id: str) -> Meta:
        metas = self._link.patiently(lambda: self._read([task_id]))
        return metas[0] if metas else self._unknown(task_id)

    def task_result_exists(self, task_id: str) -> bool:
        """Whether the task has a row: it has one as soon as it is published, or else from its first state on."""
        return bool(self._link.patiently(lambda: self._read([task_id])))

    def _unknown(self, task_id: str) -> Meta:
        return {"task_id": task_id, "status": states.PENDING, "result": None, "traceback": None, "children": []}

    def _read(self, task_ids: Iterable[str], *, ended: bool = False) -> list[Meta]:
        rows = self._link.read(READ, ([str(task_id) for task_id in task_ids], ended), dict_row)
        return [self.meta_from_decoded(self._meta(row)) for row in rows]

    def _meta(self, row: dict[str, Any]) -> Meta:
        return {
            "task_id": row["id"],
            "status": row["state"],
            "result": self._value(row),
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

    def _value(self, row: dict[str, Any]) -> Any:
        """The result of a task that succeeded, the error of one that failed, what a running one last told."""
        state = row["state"]
        if state in self.EXCEPTION_STATES:
            return self.decode(row["error_text"])
        if state == states.SUCCESS:
            return self.decode(row["result_text"])
        told = self.decode(row["progress_text"])
        return {"hostname": row["worker"]} if told is None and state == states.STARTED else told

    # ------------------------------------------------------------ waiting
    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Any = None,
        on_message: Any = None,
    ) -> Meta:
        """The meta of a task as soon as it has ended.

        Raises:
            celery.exceptions.TimeoutError: it did not end in time.
        """
        wanted = Patience(timeout=timeout, interval=interval, on_interval=on_interval, on_message=on_message)
        ((_, meta),) = self._ended({task_id}, wanted)
        return meta

    def wait_for_pending(
        self, result: Any, timeout: float | None = None, interval: float = 0.5, callback: Any = None,
        propagate: bool = True, **options: Any,
    ) -> Any:  # fmt: skip
        """What AsyncResult.get does."""
        meta = self.wait_for(result.id, timeout=timeout, interval=interval, **options)
        result._maybe_set_cache(meta)  # noqa: SLF001 - as Celery's own backends do
        return result.maybe_throw(propagate=propagate, callback=callback)

    def get_many(
        self, task_ids: Iterable[str], timeout: float | None = None, interval: float = 0.5, no_ack: bool = True,
        on_message: Any = None, on_interval: Any = None, **_: Any,
    ) -> Iterator[tuple[str, Meta]]:  # fmt: skip
        """Each task with its meta, as they end."""
        wanted = Patience(timeout=timeout, interval=interval, on_interval=on_interval, on_message=on_message)
        return self._ended({str(task_id) for task_id in task_ids}, wanted)

    def iter_native(self, result: Any, **options: Any) -> Iterator[tuple[str, Any]]:
        """The members of a group as they end; a member that is a group itself comes when all of it has."""
        own = {member.id for member in result.results if not isinstance(member, ResultSet)}
        nested = [member for member in result.results if isinstance(member, ResultSet)]
        leaves = own.union(*map(_leaves, nested))
        for task_id, meta in self.get_many(leaves, **options):
            if task_id in own:
                yield task_id, meta
        for member in nested:
            yield member.id, member.results

    def _ended(self, task_ids: set[str], wanted: Patience) -> Iterator[tuple[str, Meta]]:
        self._ensure_not_eager()
        for task_id in list(task_ids):
            if self.is_cached(task_id) and self._cache[task_id]["status"] in states.READY_STATES:
                task_ids.discard(task_id)
                yield task_id, self._cache[task_id]
        for meta in wait_for_all(self._look, task_ids, self._ear, wanted):
            self._cache[meta["task_id"]] = meta
            yield meta["task_id"], meta

    def _look(self, task_ids: Iterable[str], ended: bool, seconds: float) -> list[Meta]:
        return self._link.patiently(lambda: self._read(task_ids, ended=ended), seconds)


def _leaves(result: Any) -> set[str]:
    if not isinstance(result, ResultSet):
        return {result.id}
    return set().union(*map(_leaves, result.results))
