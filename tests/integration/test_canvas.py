"""Canvases on the result backend: groups, chains and chords in each other, replaced, revoked, delivered twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError

from tests.integration.canvas import NOBODY, PATIENCE, Canvas, canvas, canvas_app, canvas_worker
from tests.postgres import TestDatabase
from tests.stack import canvas_tasks as tasks
from tests.stack import extra_tasks as extra
from tests.stack.services import Worker
from tests.waiting import until
from workerapp.app import WorkerApp


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    with canvas_worker(module_database) as running:
        yield running


@pytest.fixture(scope="module")
def app(module_database: TestDatabase) -> Iterator[WorkerApp]:
    with canvas_app(module_database) as made:
        yield made


@pytest.fixture
def our(app: WorkerApp, module_database: TestDatabase) -> Iterator[Canvas]:
    with canvas(app, module_database) as ours:
        yield ours


def doubles(*numbers: int) -> list[Any]:
    return [extra.add.s(number, number) for number in numbers]


# ---------------------------------------------------------------- what comes out
CANVASES = {
    "a group": (lambda: group(doubles(1, 2, 3)), [2, 4, 6]),
    "a group of groups": (lambda: group(group(doubles(1, 2)), group(doubles(3))), [2, 4, 6]),
    "an empty group": (group, []),
    "a chain": (lambda: chain(extra.add.s(1, 1), extra.add.s(2), extra.add.s(3)), 7),
    "a chain that ends in a group": (
        lambda: chain(extra.add.s(1, 1), group(extra.add.s(1), extra.add.s(2))),
        [3, 4],
    ),
    "a chain with a group in the middle": (lambda: chain(group(doubles(1, 2)), tasks.total.s(), extra.add.s(1)), 7),
    "a chain with two groups": (
        lambda: chain(group(doubles(1, 2)), group(tasks.total.s(), tasks.total.s()), tasks.total.s()),
        12,
    ),
    "a chord": (lambda: chord(doubles(1, 2, 3), tasks.total.s()), 12),
    "a chord of one part": (lambda: chord(doubles(4), tasks.total.s()), 8),
    "a chord without parts": (lambda: chord([], extra.collect.s()), {"parts": []}),
    "a chord of chains": (
        lambda: chord([chain(*doubles(1), extra.add.s(1)), chain(*doubles(2), extra.add.s(1))], tasks.total.s()),
        8,
    ),
    "a chord of chords": (
        lambda: chord([chord(doubles(1, 2), tasks.total.s()), chord(doubles(3), tasks.total.s())], tasks.total.s()),
        12,
    ),
    "a chord of a chord and a task": (
        lambda: chord([chord(doubles(1, 2), tasks.total.s()), extra.add.s(1, 1)], tasks.total.s()),
        8,
    ),
    "a chord with a group as its body": (
        lambda: chord(doubles(1, 2), group(tasks.total.s(), extra.collect.s())),
        [6, {"parts": [2, 4]}],
    ),
    "a chord with a chain as its body": (
        lambda: chord(doubles(1, 2), chain(tasks.total.s(), extra.add.s(1))),
        7,
    ),
    "a chord with a chord as its body": (
        lambda: chord(doubles(1, 2), chord([tasks.total.s(), tasks.total.s()], tasks.total.s())),
        12,
    ),
    "a chain into a chord": (
        lambda: chain(extra.add.s(1, 1), chord([extra.add.s(1), extra.add.s(2)], tasks.total.s())),
        7,
    ),
    "a chord in a chain": (
        lambda: chain(extra.add.s(1, 1), chord([extra.add.s(1), extra.add.s(2)], tasks.total.s()), extra.add.s(1)),
        8,
    ),
    "a group of chords": (
        lambda: group(chord(doubles(1, 2), tasks.total.s()), chord(doubles(3), tasks.total.s())),
        [6, 6],
    ),
    "a part that is tried again": (
        lambda: chord([extra.fail_then_succeed.s(1), extra.add.s(1, 1)], tasks.total.s()),
        3,
    ),
    "a part whose result is ignored": (lambda: chord([tasks.keep_quiet.s()], extra.collect.s()), None),
    "a task replaced by a task": (lambda: tasks.become.s("task"), 42),
    "a task replaced by a chain": (lambda: tasks.become.s("chain"), 7),
    "a task replaced by a chord": (lambda: tasks.become.s("chord"), 6),
    "a task replaced by a group": (lambda: tasks.become.s("group"), [0, 2, 4]),
    "a replaced task in a chain": (lambda: chain(tasks.become.s("chain"), extra.add.s(1)), 8),
    "a replaced task in a chord": (
        lambda: chord([tasks.become.s("chord"), extra.add.s(1, 1)], tasks.total.s()),
        8,
    ),
    "a part replaced by a group": (
        lambda: chord([tasks.become.s("group"), extra.add.s(1, 1)], extra.collect.s()),
        {"parts": [[0, 2, 4], 2]},
    ),
    "a part that adds a part": (lambda: chord([tasks.enlarge.s(3), extra.add.s(1, 1)], tasks.total.s()), 11),
}


@pytest.mark.parametrize("what", CANVASES)
def test_canvas_gives(what: str, our: Canvas, worker: Worker) -> None:
    build, expected = CANVASES[what]
    if expected is None:
        expected = {"parts": ["nobody hears this"]}
    assert our.get(build()) == expected
    assert our.named("celery.chord_unlock") == []


def test_chord_of_a_generator_is_published_while_it_is_made(our: Canvas, worker: Worker) -> None:
    seen = []

    def parts() -> Iterator[Any]:
        yield extra.add.s(1, 1)
        yield extra.add.s(2, 2)
        until(lambda: seen.extend(our.named("tests.add")) or seen)
        yield extra.add.s(3, 3)
        yield extra.add.s(4, 4)

    assert our.get(chord(parts(), tasks.total.s())) == 20
    assert len(seen) < 4


def test_chord_of_two_hundred_parts_keeps_their_order(our: Canvas, worker: Worker) -> None:
    assert our.get(chord(doubles(*range(200)), extra.collect.s())) == {"parts": [2 * n for n in range(200)]}
    assert our.admin.execute("SELECT count(*) FROM chord WHERE fired_at IS NULL").fetchone() == (0,)


def test_signature_that_stands_in_a_header_several_times_counts_each_time(our: Canvas, worker: Worker) -> None:
    same = extra.add.s(1, 1)
    same.freeze()
    assert our.get(chord([same, same, same], tasks.total.s())) == 6


def test_children_and_parents_are_told(our: Canvas, worker: Worker) -> None:
    task_id = our.call(tasks.call_others.s(2)).id
    result = our.app.AsyncResult(task_id)
    children = result.get(timeout=PATIENCE)
    assert [child.id for child in result.children] == children
    assert [our.column(child, "parent_id") for child in children] == [task_id, task_id]
    assert [our.column(child, "root_id") for child in children] == [task_id, task_id]
    last = our.call(chain(extra.add.s(1, 1), extra.add.s(2)))
    assert last.get(timeout=PATIENCE) == 4
    assert our.column(last.id, "parent_id") == last.parent.id
    assert last.parent.get(timeout=PATIENCE) == 2


# ---------------------------------------------------------------- links
def test_link_runs_with_the_result(our: Canvas, worker: Worker) -> None:
    our.call(extra.add.s(1, 1), link=extra.give.s())
    assert our.results_of("tests.give", 1) == [2]


def test_link_error_runs_once_with_the_id_of_the_task_that_failed(our: Canvas, worker: Worker) -> None:
    failed = our.call(tasks.refuse.s("value", "no"), link_error=tasks.note_failure.s())
    assert our.results_of("tests.note_failure", 1) == [failed.id]


def test_failure_in_a_chain_ends_every_task_after_it(our: Canvas, worker: Worker) -> None:
    last = our.call(chain(extra.add.s(1, 1), extra.fail.si("broken"), extra.add.s(1), extra.add.s(2)))
    with pytest.raises(Exception, match="broken"):
        last.get(timeout=PATIENCE)
    assert our.ended(last.parent.id) == "FAILURE"
    assert our.ended(last.id) == "FAILURE"


def test_errback_of_a_chord_runs_once_however_many_parts_fail(our: Canvas, worker: Worker) -> None:
    body = tasks.total.s().on_error(tasks.note_failure.s())
    result = our.call(chord([extra.fail.s("one"), extra.fail.s("two"), extra.add.s(1, 1)], body))
    with pytest.raises(ChordError, match=r"Dependency .* raised PermanentError"):
        result.get(timeout=PATIENCE, follow_parents=False)
    assert our.results_of("tests.note_failure", 1) == [result.id]
    assert our.named("tests.total") == []


def test_part_whose_error_cannot_be_stored_as_it_is_fails_the_chord_all_the_same(our: Canvas, worker: Worker) -> None:
    result = our.call(chord([tasks.refuse.s("character"), extra.add.s(1, 1)], tasks.total.s()))
    with pytest.raises(ChordError, match="before \ufffd after"):
        result.get(timeout=PATIENCE, follow_parents=False)


def test_failed_header_fails_every_member_of_a_group_that_is_the_body(our: Canvas, worker: Worker) -> None:
    body = group(tasks.total.s(), extra.collect.s())
    result = our.call(chord([extra.fail.s("broken"), extra.add.s(1, 1)], body))
    for member in result.results:
        with pytest.raises(Exception, match="broken"):
            our.app.AsyncResult(member.id).get(timeout=PATIENCE)


@pytest.mark.parametrize(
    "inner_body", [tasks.total.s(), group(tasks.total.s(), tasks.total.s()), chain(tasks.total.s(), extra.add.s(1))]
)
def test_failure_deep_inside_fails_the_chords_around_it(inner_body: Any, our: Canvas, worker: Worker) -> None:
    inner = chord([extra.fail.s("deep"), extra.add.s(1, 1)], inner_body)
    result = our.call(chord([inner, extra.add.s(1, 1)], extra.collect.s()))
    with pytest.raises(ChordError):
        result.get(timeout=PATIENCE, follow_parents=False)


@pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header")
def test_errback_of_a_chord_of_chords_runs_once(our: Canvas, worker: Worker) -> None:
    """Celery links it to the inner chord as well."""
    innermost = chord([extra.fail.s("deep"), extra.add.s(1, 1)], tasks.total.s())
    inner = chord([innermost, extra.add.s(1, 1)], tasks.total.s())
    outer = chord([inner, extra.add.s(1, 1)], extra.collect.s())
    outer.link_error(tasks.note_failure.s("linked"))
    outer.body.link_error(tasks.note_failure.s("of the body only"))
    result = our.call(outer)
    with pytest.raises(ChordError):
        result.get(timeout=PATIENCE, follow_parents=False)
    assert len(our.results_of("tests.note_failure", 2)) == 2


@pytest.mark.parametrize(
    "rest",
    [
        group(extra.add.s(1), extra.add.s(2)),
        chord([extra.add.s(1), extra.add.s(2)], tasks.total.s()),
        chord([extra.add.s(1), extra.add.s(2)], group(tasks.total.s(), extra.collect.s())),
    ],
)
def test_failure_ends_the_canvas_after_it(rest: Any, our: Canvas, worker: Worker) -> None:
    """Nobody may wait for ever for what will not run."""
    result = our.call(chain(extra.fail.s("broken"), rest.clone()))
    for member in getattr(result, "results", [result]):
        with pytest.raises(Exception, match="broken"):
            our.app.AsyncResult(member.id).get(timeout=PATIENCE)


def test_failed_body_fails_the_chord_and_calls_its_errback(our: Canvas, worker: Worker) -> None:
    body = extra.fail.si("the body").on_error(tasks.note_failure.s())
    result = our.call(chord(doubles(1, 2), body))
    with pytest.raises(Exception, match="the body"):
        result.get(timeout=PATIENCE)
    assert our.results_of("tests.note_failure", 1) == [result.id]


def test_part_that_is_revoked_before_it_begins_fails_the_chord(our: Canvas, worker: Worker) -> None:
    waiting = extra.add.s(1, 1).set(countdown=1.5)
    header = waiting.freeze()
    result = our.call(chord([waiting, extra.add.s(2, 2)], tasks.total.s().on_error(tasks.note_failure.s())))
    our.app.control.revoke(header.id)
    with pytest.raises(ChordError, match="TaskRevokedError"):
        result.get(timeout=PATIENCE, follow_parents=False)
    assert our.ended(header.id) == "REVOKED"
    assert our.results_of("tests.note_failure", 1) == [result.id]


# ---------------------------------------------------------------- twice, and killed
def test_part_returned_by_two_workers_at_once_fires_the_body_once(our: Canvas, worker: Worker) -> None:
    """Each part is delivered three times, and the copies run side by side."""
    parts = [part.set(queue=NOBODY) for part in doubles(*range(6))]
    result = our.call(chord(parts, tasks.total.s()))
    our.admin.execute(
        "SELECT broker_publish('celery', message) FROM broker_message, generate_series(1, 3)"
        " WHERE queue = %s AND organization_id = %s",
        (NOBODY, our.organization_id),
    )
    assert result.get(timeout=PATIENCE) == 30
    until(lambda: _in_work(our) == 0)
    worker.wait_for(rf"tests.total\[{result.id}\] received")
    assert len(worker.lines(rf"tests.total\[{result.id}\] received")) == 1
    assert our.events(result.id) == ["pending", "started", "succeeded"]


def test_body_runs_once_although_workers_are_killed_between_the_parts(
    database: TestDatabase, reachable_folder: Path
) -> None:
    gates = [str(reachable_folder / f"gate-{number}") for number in range(3)]
    with canvas_app(database) as app, canvas(app, database) as our, canvas_worker(database) as worker:
        result = our.call(chord([extra.add.s(1, 1), *(tasks.wait_for.s(gate) for gate in gates)], extra.collect.s()))
        for number, gate in enumerate(gates):
            until(Path(f"{gate}.begun").exists, PATIENCE)
            worker.kill()
            Path(gate).touch()
            worker.start()
            until(lambda n=number: _parts(our) >= n + 1, PATIENCE)
        assert result.get(timeout=PATIENCE) == {"parts": [2, "waited", "waited", "waited"]}
        assert our.named("tests.collect") == [result.id]
        until(lambda: _in_work(our) == 0)
        assert our.events(result.id) == ["pending", "started", "succeeded"]


def _parts(our: Canvas) -> int:
    return our.admin.execute("SELECT count(*) FROM chord_part").fetchone()[0]  # type: ignore[index]


def _in_work(our: Canvas) -> int:
    statement = "SELECT count(*) FROM broker_message WHERE queue = 'celery' AND organization_id = %s"
    return our.admin.execute(statement, (our.organization_id,)).fetchone()[0]  # type: ignore[index]
