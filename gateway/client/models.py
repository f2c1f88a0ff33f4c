"""What a gateway answers, as frozen models; fields that this client does not know are kept beside those it does."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from gateway.client.subject import Subject

#: After one of these nothing changes any more.
FINAL_TASK_STATES = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
FINAL_RUN_STATUSES = frozenset({"completed", "partial", "failed", "cancelled"})
#: The second half of the type of a subject's last event.
_LAST_WORDS = FINAL_RUN_STATUSES | {"succeeded", "revoked"}
_SUBJECTS = frozenset({"task", "test_run", "run_group"})


class Model(BaseModel):
    """Anything that is answered."""

    model_config = ConfigDict(frozen=True, extra="allow")


Item = TypeVar("Item", bound=Model)


class Page(Model, Generic[Item]):
    """Some of the items, and the cursor of the next page; none on the last one."""

    items: list[Item]
    next_cursor: str | None


class Fault(Model):
    """One thing that is wrong with a request, and where."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None


class Problem(Model):
    """An answer that is an error (RFC 9457)."""

    status: int
    code: str
    title: str = ""
    detail: str = ""
    request_id: str | None = None
    errors: list[Fault] = Field(default_factory=list)


class Event(Model):
    """One change of state of one subject; `(subject, seq)` tells it from all others.

    A `snapshot` says how the subject, or the organization, is when its stream begins.
    """

    id: int
    type: str
    subject: str
    seq: int
    at: datetime
    organization_id: str
    data: dict[str, Any]
    #: Where to go on behind this event; None in the middle of a page.
    cursor: str | None = None
    #: Events before this snapshot cannot be had any more: the log no longer has them.
    follows_gap: bool = False

    @property
    def is_last(self) -> bool:
        """Whether nothing comes behind it in the stream of its subject."""
        if self.type == "snapshot":
            return self.data.get("status") in FINAL_TASK_STATES | FINAL_RUN_STATUSES
        family, _, word = self.type.partition(".")
        return family in _SUBJECTS and word in _LAST_WORDS


class EventPage(Model):
    """Some events of the organization, and where to go on behind them."""

    items: list[Event]
    cursor: str
    has_more: bool


class Linked(Model):
    """What is found by its links."""

    links: dict[str, str]


class State(Linked):
    """How something is that can be followed."""

    _final: ClassVar[frozenset[str]] = FINAL_RUN_STATUSES
    _good: ClassVar[str] = "completed"

    status: str
    seq: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def subject(self) -> Subject[Self]:
        """What to follow."""
        return Subject(self.links["self"], type(self))

    @property
    def is_final(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in self._final

    @property
    def is_good(self) -> bool:
        """Whether it ended as `SUCCESS` or `completed`."""
        return self.status == self._good


class Task(State):
    """A task; in a list it is without what came of it."""

    _final: ClassVar[frozenset[str]] = FINAL_TASK_STATES
    _good: ClassVar[str] = "SUCCESS"

    task_id: str
    name: str | None = None
    queue: str | None = None
    worker: str | None = None
    retries: int = 0
    test_run_id: str | None = None
    eta: datetime | None = None
    expires_at: datetime | None = None
    result: Any = None
    error: str | None = None
    error_type: str | None = None
    progress: Any = None


class TestRun(State):
    """A run."""

    __test__: ClassVar[bool] = False

    id: str
    test_configuration_id: str
    run_group_id: str | None = None
    task_id: str
    total: int | None
    pending: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    unscored: int
    pass_rate: float | None = None
    reason: str | None = None


class RunGroup(State):
    """A group of runs; in a list it is without its runs."""

    id: str
    name: str | None = None
    total: int | None
    finished: int
    runs: list[dict[str, Any]] = Field(default_factory=list)
    comparison: dict[str, Any] | None = None


class TaskSubmitted(Linked):
    """A task that is queued; `stream_token` is for a page that watches it."""

    task_id: str
    status: str
    stream_token: str | None = Field(default=None, repr=False)

    @property
    def subject(self) -> Subject[Task]:
        """What to follow."""
        return Subject(self.links["self"], Task)


class RunSubmitted(Linked):
    """A run that is queued; `stream_token` is for a page that watches it."""

    test_run_id: str
    task_id: str
    status: str
    stream_token: str | None = Field(default=None, repr=False)

    @property
    def subject(self) -> Subject[TestRun]:
        """What to follow."""
        return Subject(self.links["self"], TestRun)


class RunGroupSubmitted(Linked):
    """A group of runs that is queued; `stream_token` is for a page that watches it."""

    run_group_id: str
    task_id: str
    status: str
    stream_token: str | None = Field(default=None, repr=False)

    @property
    def subject(self) -> Subject[RunGroup]:
        """What to follow."""
        return Subject(self.links["self"], RunGroup)


class TestResult(Model):
    """What came of one test."""

    __test__: ClassVar[bool] = False

    test_id: str
    repeat: int
    position: int
    status: str
    input: Any = None
    turns: list[Any] | None = None
    expected: Any = None
    output: Any = None
    scores: Any = None
    latency_ms: float | None = None
    attempts: int = 0
    http_status: int | None = None
    error: dict[str, Any] | None = None


class Statistics(Model):
    """What all tests of a run come to."""

    repeats: dict[str, Any] | None = None


class Definition(Linked):
    """An endpoint, test set, configuration or named metric."""

    id: str
    name: str
