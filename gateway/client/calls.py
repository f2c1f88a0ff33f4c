"""Every operation that the clients offer, as a value: what is asked, and as what the answer is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import quote
from uuid import uuid4

from gateway.client.models import (
    Definition,
    Event,
    EventPage,
    Item,
    Model,
    Page,
    RunGroup,
    RunGroupSubmitted,
    RunSubmitted,
    State,
    Statistics,
    Task,
    TaskSubmitted,
    TestResult,
    TestRun,
)
from gateway.client.subject import HasSubject

Answer = TypeVar("Answer", bound=Model)
Item_co = TypeVar("Item_co", covariant=True)
Current = TypeVar("Current", bound=State)
Parameters: TypeAlias = Mapping[str, str | int | Sequence[str]]
Body: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[Answer]):
    """One request; it may be sent again after an interruption, and then happens once all the same."""

    method: str
    path: str
    answer: type[Answer]
    parameters: Parameters = field(default_factory=dict)
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: How long the answer may take, where that is not the client's own patience.
    seconds: float | None = None


class Listing(Protocol[Item_co]):
    """A list that is read page by page."""

    @property
    def first(self) -> Call[Any]:
        """How its first page is read."""

    def next(self, page: Any) -> Call[Any] | None:
        """How the page behind this one is read, if there is one."""

    def items(self, page: Any) -> Sequence[Item_co]:
        """What is on a page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pages(Generic[Item]):
    """A list whose pages name the cursor of the next one."""

    first: Call[Page[Item]]

    def next(self, page: Page[Item]) -> Call[Page[Item]] | None:
        """How the page behind this one is read, if there is one."""
        if page.next_cursor is None:
            return None
        return replace(self.first, parameters={**self.first.parameters, "cursor": page.next_cursor})

    def items(self, page: Page[Item]) -> Sequence[Item]:
        """What is on a page."""
        return page.items


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPages:
    """The events of an organization, up to now."""

    first: Call[EventPage]

    def next(self, page: EventPage) -> Call[EventPage] | None:
        """How the page behind this one is read, if there is one."""
        if not page.has_more:
            return None
        return replace(self.first, parameters={**self.first.parameters, "after": page.cursor})

    def items(self, page: EventPage) -> Sequence[Event]:
        """What is on a page; the last event has its cursor."""
        last = [event.model_copy(update={"cursor": page.cursor}) for event in page.items[-1:]]
        return [*page.items[:-1], *last]


def submit_task(
    name: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    idempotency_key: str | None = None,
    **options: Any,
) -> Call[TaskSubmitted]:
    """Submit a task; `options` are the other fields of the request, such as `queue`."""
    body = {"name": name, "args": list(args), "kwargs": dict(kwargs or {}), **options}
    return create("/v1/tasks", body, TaskSubmitted, idempotency_key)


def execute(test_configuration_id: str, *, idempotency_key: str | None = None, **options: Any) -> Call[RunSubmitted]:
    """Start a run; `options` hold for it instead of what the configuration says, such as `repeats`."""
    path = f"/v1/test-configurations/{path_part(test_configuration_id)}/execute"
    return create(path, options, RunSubmitted, idempotency_key)


def execute_test_set(
    test_set_id: str, *, idempotency_key: str | None = None, **options: Any
) -> Call[RunGroupSubmitted]:
    """Start a group of runs: `options` has `test_configuration_ids` or `endpoint_ids`, and what goes with them."""
    path = f"/v1/test-sets/{path_part(test_set_id)}/execute"
    return create(path, options, RunGroupSubmitted, idempotency_key)


def create_endpoint(*, idempotency_key: str | None = None, **fields: Any) -> Call[Definition]:
    """Store how an AI application is asked."""
    return create("/v1/endpoints", fields, Definition, idempotency_key)


def create_test_set(*, idempotency_key: str | None = None, **fields: Any) -> Call[Definition]:
    """Store tests."""
    return create("/v1/test-sets", fields, Definition, idempotency_key)


def create_test_configuration(*, idempotency_key: str | None = None, **fields: Any) -> Call[Definition]:
    """Store how a test set is executed against an endpoint."""
    return create("/v1/test-configurations", fields, Definition, idempotency_key)


def create_metric(*, idempotency_key: str | None = None, **fields: Any) -> Call[Definition]:
    """Store a metric under a name."""
    return create("/v1/metrics", fields, Definition, idempotency_key)


def get(followed: HasSubject[Current]) -> Call[Current]:
    """Read a task, run or group as it is now."""
    return Call(method="GET", path=followed.subject.path, answer=followed.subject.kind)


def get_task(task_id: str) -> Call[Task]:
    """Read a task."""
    return Call(method="GET", path=f"/v1/tasks/{path_part(task_id)}", answer=Task)


def get_test_run(test_run_id: str) -> Call[TestRun]:
    """Read a run."""
    return Call(method="GET", path=f"/v1/test-runs/{path_part(test_run_id)}", answer=TestRun)


def get_run_group(run_group_id: str) -> Call[RunGroup]:
    """Read a group of runs, with its runs."""
    return Call(method="GET", path=f"/v1/run-groups/{path_part(run_group_id)}", answer=RunGroup)


def get_statistics(run: HasSubject[TestRun]) -> Call[Statistics]:
    """Read the statistics of a run."""
    return Call(method="GET", path=f"{run.subject.path}/statistics", answer=Statistics)


def cancel(followed: HasSubject[Current]) -> Call[Current]:
    """Cancel a task, run or group; one that has ended stays as it is."""
    return Call(method="POST", path=f"{followed.subject.path}/cancel", answer=followed.subject.kind)


def retry(
    run: HasSubject[TestRun], statuses: Sequence[str] = ("fail", "error"), *, idempotency_key: str | None = None
) -> Call[RunSubmitted]:
    """Start a run of the tests that ended so in a run that has ended."""
    return create(f"{run.subject.path}/retry", {"statuses": list(statuses)}, RunSubmitted, idempotency_key)


def rerun(run: HasSubject[TestRun], *, idempotency_key: str | None = None) -> Call[RunSubmitted]:
    """Start a run of all tests of a run that has ended."""
    return create(f"{run.subject.path}/rerun", {}, RunSubmitted, idempotency_key)


def rescore(
    run: HasSubject[TestRun], metrics: Sequence[Mapping[str, Any]] | None = None, *, idempotency_key: str | None = None
) -> Call[RunSubmitted]:
    """Judge the answers of a run that has ended anew, by other metrics or those of its configuration."""
    body = {} if metrics is None else {"metrics": list(metrics)}
    return create(f"{run.subject.path}/rescore", body, RunSubmitted, idempotency_key)


def list_tasks(*, page_size: int | None = None, **filters: str | Sequence[str]) -> Listing[Task]:
    """Tasks, the latest first; `filters` are those of `GET /v1/tasks`, but `fields`, for a task has all of them."""
    return listing("/v1/tasks", Task, page_size, filters)


def list_test_runs(*, page_size: int | None = None, **filters: str | Sequence[str]) -> Listing[TestRun]:
    """Runs, the latest first; `filters` are those of `GET /v1/test-runs`, but `fields`, for a run has all of them."""
    return listing("/v1/test-runs", TestRun, page_size, filters)


def list_run_groups(*, page_size: int | None = None, **filters: str) -> Listing[RunGroup]:
    """Groups of runs, the latest first; `filters` are the parameters of `GET /v1/run-groups`."""
    return listing("/v1/run-groups", RunGroup, page_size, filters)


def list_results(
    run: HasSubject[TestRun],
    statuses: Sequence[str] = (),
    *,
    test_ids: Sequence[str] = (),
    page_size: int | None = None,
) -> Listing[TestResult]:
    """What came of the tests of a run, in their order; of those that ended as `statuses` says, or have these ids."""
    asked = {"status": statuses, "test_id": test_ids}
    filters = {name: ",".join(values) for name, values in asked.items() if values}
    return listing(f"{run.subject.path}/results", TestResult, page_size, filters)


def list_endpoints(*, page_size: int | None = None) -> Listing[Definition]:
    """Endpoints, the latest first."""
    return listing("/v1/endpoints", Definition, page_size)


def list_test_sets(*, page_size: int | None = None) -> Listing[Definition]:
    """Test sets, the latest first."""
    return listing("/v1/test-sets", Definition, page_size)


def list_test_configurations(*, page_size: int | None = None) -> Listing[Definition]:
    """Test configurations, the latest first."""
    return listing("/v1/test-configurations", Definition, page_size)


def list_events(
    after: str = "earliest", *, page_size: int | None = None, **filters: str | Sequence[str]
) -> Listing[Event]:
    """What happened in the organization behind a cursor, up to now; `filters` as of `GET /v1/events`."""
    return EventPages(
        first=Call(
            method="GET",
            path="/v1/events",
            answer=EventPage,
            parameters={"after": after, **_size(page_size), **filters},
        )
    )


def create(path: str, body: Body, answer: type[Answer], idempotency_key: str | None = None) -> Call[Answer]:
    """Create or start something; without a key of the caller's it gets one for this call."""
    headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
    return Call(method="POST", path=path, answer=answer, body=body, headers=headers)


def remove(path: str) -> Call[Model]:
    """Remove or archive something."""
    return Call(method="DELETE", path=path, answer=Model)


def listing(
    path: str, item: type[Item], page_size: int | None = None, filters: Parameters | None = None
) -> Listing[Item]:
    """A list, with the parameters that say what is in it."""
    page: type[Page[Item]] = Page[item]  # type: ignore[valid-type]
    return Pages(first=Call(method="GET", path=path, answer=page, parameters={**(filters or {}), **_size(page_size)}))


def _size(page_size: int | None) -> dict[str, int]:
    return {} if page_size is None else {"limit": page_size}


def path_part(text: str) -> str:
    """A part of a path, whatever it has in it."""
    return quote(text, safe="")
