"""Groups and chords: the database counts the parts of a header, and the last one publishes the body."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from celery import states
from celery.app.task import Context
from celery.canvas import Signature, maybe_signature
from celery.exceptions import ChordError
from celery.result import GroupResult, ResultBase, allow_join_result, result_from_tuple
from celery.utils.functional import _regen, maybe_list
from kombu.utils.json import dumps

from workerapp.base import acting_for
from workerapp.contract.caller import ORGANIZATION_HEADER
from workerapp.contract.tasks import JOIN_FAILURES_HEADER
from workerapp.db.connection import LOST
from workerapp.json_results import storing
from workerapp.results import ResultReader

logger = logging.getLogger(__name__)


class ChordJoiner(ResultReader):
    """Saves groups, and joins chords without ever polling for them."""

    #: Whose are the tasks that name no organization.
    _default_organization: str | None

    # ------------------------------------------------------------ groups
    def _save_group(self, group_id: str, result: ResultBase) -> ResultBase:
        header = dumps(result.as_tuple())
        self._link.execute("SELECT begin_chord(%s, %s, NULL, %s)", (group_id, self._organization_of_context(), header))
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        header = self._read_chord(group_id, "header")
        return None if header is None else {"result": result_from_tuple(header, self.app)}

    def _delete_group(self, group_id: str) -> None:
        self._link.execute("SELECT delete_group(%s)", (group_id,))

    def _read_chord(self, group_id: str, column: str) -> Any:
        rows = self._link.read(f"SELECT {column}::text FROM read_chord(%s)", (group_id,))  # noqa: S608 - ours
        return self.decode(rows[0][0]) if rows else None

    # ------------------------------------------------------------ chords
    def apply_chord(self, header_result_args: Any, body: Signature, **_: Any) -> None:
        """Remember the body; it joins the transaction in the context, so a chord is never half begun."""
        group_id, results = header_result_args
        header = None
        # A header that a generator makes is published as it is made, and to look at its results would make all of it.
        if not isinstance(results, _regen) and any(isinstance(result, GroupResult) for result in results):
            header = dumps(self.app.GroupResult(group_id, results).as_tuple())
        row = (group_id, self._organization_of_context(), dumps(body), header)
        self._link.execute("SELECT begin_chord(%s, %s, %s, %s)", row)

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Tell how many parts must return; fires the body when all of them already have."""
        with self._link.transaction():
            if self._link.execute("SELECT set_chord_size(%s, %s)", (group_id, chord_size)) == [(True,)]:
                self._fire(group_id, None)

    def add_to_chord(self, chord_id: str, result: Any) -> None:
        """One part more must return before the body runs."""
        self._link.execute("SELECT grow_chord(%s)", (chord_id,))

    def on_chord_part_return(self, request: Any, state: str, result: Any, called: Iterable[str] = (), **_: Any) -> None:
        """Count the part, once however often it returns; the last one publishes the body.

        Of a chord inside this one, `called` are the errbacks that have been called for it.
        """
        if not request.group or not request.id:
            return
        value = self.encode_result(result, state)
        value = value | {"called": sorted(called)} if called else value
        encoded = self.encoded(value, failed=state in self.EXCEPTION_STATES)
        part = (request.group, self._organization(request), request.id, request.group_index, state, encoded)
        with storing(), self._link.transaction():
            if self._link.execute("SELECT return_chord_part(%s, %s, %s, %s, %s, %s)", part) == [(True,)]:
                self._fire(request.group, request.chord)

    def _fire(self, group_id: str, body: Any) -> None:
        callback = maybe_signature(body or self._read_chord(group_id, "body"), app=self.app)
        if callback is None:
            return
        try:
            results = self._join(group_id, keep_failures=_joins_failures(callback))
            with self._link.transaction(savepoint=True):
                self.app.amqp._retry_publish(callback.delay, results)  # noqa: SLF001 - as Celery's own backends do
        except ChordError as error:
            logger.info("chord_failed", extra={"group_id": group_id, "body": callback.task})
            self._fail_body(group_id, callback, error)
        except LOST:
            raise
        except Exception as error:
            logger.exception("chord_body_not_published", extra={"group_id": group_id, "body": callback.task})
            self._fail_body(group_id, callback, ChordError(f"Callback error: {error!r}"))

    def _join(self, group_id: str, *, keep_failures: bool) -> list[Any]:
        """The results of the header in its order.

        Raises:
            ChordError: a part failed, unless failures are kept, as `None` in the part's place.
        """
        parts = self._link.read("SELECT task_id, state, result::text FROM read_chord_parts(%s)", (group_id,))
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

    # ------------------------------------------------------------ failures
    def _fail_body(self, group_id: str, body: Signature, error: ChordError) -> None:
        """Fail a body that will not run, call its errbacks, and return its part of the chord around it, as failed.

        Celery leaves the chord around it waiting for ever, and makes up for that by linking an errback to the chords in
        the header too: so what was called for those is not called again.
        """
        inside = self._called(group_id)
        members = list(flattened([body]))
        called = inside.union(*(_keep_errbacks_but(inside, signature) for signature in (body, *members)))
        self.chord_error_from_stack(body, error)
        for member in members:
            options = member["options"]
            request = Context(options, id=options.get("task_id"), group=options.get("group_id"))
            if request.chord:
                self.on_chord_part_return(request, states.FAILURE, error, called)

    def _called(self, group_id: str) -> set[str]:
        statement = "SELECT result -> 'called' FROM read_chord_parts(%s) WHERE result ? 'called'"
        return {call for (calls,) in self._link.read(statement, (group_id,)) for call in calls}

    def _fail_chain(self, chain: Any, exc: Any, *args: Any, **options: Any) -> None:
        """Fail all that would have come next, also where it is a group or the body of a chord."""
        super()._fail_chain(list(flattened(chain or ())), exc, *args, **options)

    # ------------------------------------------------------------ for whom
    def _organization(self, request: Any) -> str | None:
        own = getattr(request, ORGANIZATION_HEADER, None)
        if own is None:
            own = getattr(acting_for.get(), ORGANIZATION_HEADER, None)
        return cast("str | None", own or self._default_organization)

    def _organization_of_context(self) -> str | None:
        task = self.app.current_task
        return self._organization(None if task is None else task.request)


def flattened(signatures: Iterable[Any]) -> Iterator[Any]:
    """The tasks whose ends are the ends of these canvases; those in a chord's header have theirs by themselves."""
    for signature in signatures:
        kind, kwargs = signature.get("subtask_type"), signature.get("kwargs") or {}
        if kind in ("group", "chain"):
            yield from flattened(kwargs.get("tasks") or ())
        elif kind == "chord":
            yield from flattened([kwargs["body"]] if kwargs.get("body") else ())
        else:
            yield signature


@contextmanager
def acting_as(request: Any) -> Iterator[None]:
    """Write states and publish messages for the tenant of this request."""
    token = acting_for.set(request or acting_for.get())
    try:
        yield
    finally:
        acting_for.reset(token)


def _keep_errbacks_but(called: set[str], signature: Any) -> set[str]:
    """Take these errbacks from a signature; returns what calling the others does."""
    own = maybe_list(signature["options"].get("link_error")) or []
    kept = signature["options"]["link_error"] = [errback for errback in own if _call_of(errback) not in called]
    return set(map(_call_of, kept))


def _call_of(errback: Any) -> str:
    """What calling it would do, told so that two of them compare."""
    return json.dumps(json.loads(dumps([errback.get(key) for key in ("task", "args", "kwargs")])), sort_keys=True)


def _joins_failures(body: Signature) -> bool:
    return bool((body.options.get("headers") or {}).get(JOIN_FAILURES_HEADER))
