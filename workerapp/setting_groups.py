"""The worker's settings as its parts take them: what concerns each, with what follows from it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class LaneSettings(BaseModel):
    """How lanes share a run's tests and take turns."""

    model_config = ConfigDict(frozen=True)

    #: How many tests one lane executes at once at most; a run with a higher limit gets more lanes.
    concurrency: int
    slice_seconds: float
    #: How many seconds a lane holds itself and its tests without renewing.
    lease: float
    #: How many tests are leased by one statement at most.
    batch: int
    #: Between two writes of results.
    record_pause: float
    #: How much one write has at most, unless a single result has more.
    record_bytes: int
    #: Between two renewals of the leases.
    keep_pause: float
    #: How long a lane without work waits for a change before it looks again.
    idle_seconds: float
    #: Between two looks whether the run was cancelled, while no hint comes.
    watch_pause: float
    #: How many seconds a lane may be silent before it counts as dead.
    grace: float
    #: How long a lane's turn at an endpoint is that has not a place for each of its lanes.
    turn: float


class CoordinationSettings(BaseModel):
    """How those who ask an endpoint share what it takes; all in seconds but the number of tests."""

    model_config = ConfigDict(frozen=True)

    #: Between two looks at what the others do.
    pause: float
    #: How long a share is held without renewing.
    lease: float
    turn: float
    #: How long others are told to wait when the endpoint asks for it, at most.
    longest_hold: float
    circuit_tests: int
    circuit_seconds: float


class SweeperSettings(BaseModel):
    """How often the sweeper looks, and what it takes for lost; all in seconds but the batch."""

    model_config = ConfigDict(frozen=True)

    pause: float
    grace: float
    batch: int
    dead_node_after: float
    #: How long a task may be without a message and a worker before it counts as lost; 0: none ever does.
    lost_task_after: float


class RetentionSettings(BaseModel):
    """After how many seconds what is finished is removed, how often, and how many rows by one statement."""

    model_config = ConfigDict(frozen=True)

    pause: float
    batch: int
    events: float
    results: float
    deliveries: float
    idempotency_keys: float
    chords: float
    audit_events: float


class OutboxSettings(BaseModel):
    """How stored messages are passed on to a broker other than the database."""

    model_config = ConfigDict(frozen=True)

    #: How many messages of one queue the broker may have that no worker has begun.
    ahead: int
    #: How many are passed on in one go.
    batch: int
    #: Seconds between two looks while no hint comes.
    pause: float
    #: Seconds after which a message that nobody has begun is looked for.
    lost_after: float


class WebhookSettings(BaseModel):
    """How deliveries of webhooks are sent; times are in seconds."""

    model_config = ConfigDict(frozen=True)

    #: How many attempts are under way at once; 0: none ever is.
    places: int
    #: How many of them at most to endpoints that are slow or failing.
    slow_places: int
    #: How many at most to one endpoint, of all workers.
    endpoint_places: int
    timeout: float
    #: How long an attempt is not given to another worker.
    lease: float
    #: After each attempt that failed; who fails once more is not tried again.
    delays: tuple[float, ...]
    #: By what part of it a delay may be longer or shorter.
    jitter: float
    #: An endpoint that has failed for so long, and never succeeded, is disabled.
    disable_after: float
    excerpt_length: int
    #: How long an endpoint may ask to wait, at most.
    retry_after_max: float
    #: Between two looks while no hint comes and there is nothing.
    pause: float
