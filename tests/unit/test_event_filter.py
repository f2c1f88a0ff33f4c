"""What passes a filter of events, and when the data of an event are looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from gateway.stream.event_filter import EVERYTHING, KNOWN_TYPES, EventFilter, TypeUnknown, types_of
from workerapp.contract.events import Event, EventType

RUN = "0199d2a0-7c4e-7b1a-8a3e-2f8f7f0a1c24"
TASK_STARTED = f'{{"name": "echo", "status": "STARTED", "test_run_id": "{RUN}"}}'
RESULT = f'{{"status": "fail", "test_run_id": "{RUN}"}}'
NOT_JSON = "this is looked at by nobody"


def event(kind: str, data_json: str) -> Event:
    at, organization_id = datetime.now(UTC), uuid4()
    return Event(id=1, type=kind, subject="x", seq=1, at=at, organization_id=organization_id, data_json=data_json)


def only(
    *types: str, name: tuple[str, ...] = (), run: tuple[str, ...] = (), status: tuple[str, ...] = ()
) -> EventFilter:
    return EventFilter(
        types=types_of(types), task_names=frozenset(name), test_run_ids=frozenset(run), statuses=frozenset(status)
    )


@pytest.mark.parametrize(
    ("asked", "kind", "data", "passes"),
    [
        (EVERYTHING, "task.started", NOT_JSON, True),
        (only("task.started"), "task.started", NOT_JSON, True),
        (only("task.*", "test_run.failed"), "task.progress", NOT_JSON, True),
        (only("task.*", "test_run.failed"), "test_run.failed", NOT_JSON, True),
        (only("task.*", "test_run.failed"), "test_run.queued", NOT_JSON, False),
        (only("task.*", status=("STARTED",)), "test_result.finished", NOT_JSON, False),
        (only(name=("echo", "other")), "task.started", TASK_STARTED, True),
        (only(name=("other",)), "task.started", TASK_STARTED, False),
        (only(name=("echo",)), "test_result.finished", RESULT, False),
        (only(run=(RUN,)), "task.started", TASK_STARTED, True),
        (only(run=(RUN,), status=("fail",)), "test_result.finished", RESULT, True),
        (only(run=(RUN,), status=("pass",)), "test_result.finished", RESULT, False),
        (only(status=("x",)), "run_group.progress", '{"status": ["x"]}', False),
    ],
)
def test_event_passes_with_one_value_of_each_kind(asked: EventFilter, kind: str, data: str, *, passes: bool) -> None:
    assert asked.matches(event(kind, data)) is passes


def test_every_type_can_be_asked_for_and_belongs_to_a_family() -> None:
    assert {*KNOWN_TYPES, "snapshot"} == set(EventType)
    for name in KNOWN_TYPES:
        assert types_of((name,)) == {name}
        assert name in types_of((f"{name.split('.')[0]}.*",))


@pytest.mark.parametrize("name", ["snapshot", "task", "task.", "*", "task.**", "Task.*", "task.finished", "x" * 1000])
def test_unknown_type_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(
        TypeUnknown, match=r"^There is no event type .* there are task\.pending, .* webhook_endpoint\.\*\.$"
    ):
        types_of((name,))
