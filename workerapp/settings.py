"""The worker's settings: those that are shared, Celery's under the names the origin gave them, and the lanes'."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from workerapp.db.settings import SettingsInvalid, SharedSettings, Words, load_settings, split_words
from workerapp.setting_groups import (
    CoordinationSettings,
    LaneSettings,
    OutboxSettings,
    RetentionSettings,
    SweeperSettings,
    WebhookSettings,
)

__all__ = ["SettingsInvalid", "WorkerSettings", "load_worker_settings"]

DAY = 86_400.0

#: In the environment: separated by commas or white space.
Delays: TypeAlias = Annotated[
    tuple[Annotated[float, Field(ge=0, le=30 * DAY)], ...], NoDecode, BeforeValidator(split_words), Field(max_length=50)
]


class WorkerSettings(SharedSettings):
    """Every setting of a worker, with its default."""

    worker_concurrency: int = Field(default=8, ge=1, le=1000, validation_alias="CELERY_WORKER_CONCURRENCY")
    worker_prefetch_multiplier: int = Field(
        default=4, ge=0, le=1000, validation_alias="CELERY_WORKER_PREFETCH_MULTIPLIER"
    )
    worker_max_tasks_per_child: int = Field(default=1000, ge=1, validation_alias="CELERY_WORKER_MAX_TASKS_PER_CHILD")
    worker_loglevel: str = Field(
        default="INFO", pattern=r"(?i)^(debug|info|warning|error|critical)$", validation_alias="CELERY_WORKER_LOGLEVEL"
    )
    #: Read by `deploy/start-worker.sh`, which adds them to the command line.
    worker_opts: str = Field(default="", validation_alias="CELERY_WORKER_OPTS")

    #: Seconds that a message stays hidden from other workers unless its lease is renewed.
    visibility_timeout: float = Field(default=60, ge=1)
    #: A message that was fetched this often and never finished ends as FAILURE.
    max_reads: int = Field(default=5, ge=1)
    #: Seconds between two looks into the queue while no hint comes.
    polling_interval: float = Field(default=1.0, gt=0, le=60)

    #: With RabbitMQ or Redis: how many messages of a queue are there at a time; the others wait in the database.
    broker_ahead: int = Field(default=200, ge=1)
    #: With RabbitMQ or Redis: seconds after which a message that nobody has begun may be lost.
    broker_lost_seconds: float = Field(default=120, ge=1)

    #: The largest result a task may give, in bytes of JSON.
    result_max_bytes: int = Field(default=1024 * 1024, ge=1024)
    #: Seconds to go on trying to write a state before the message is handed back to the broker.
    result_patience_seconds: float = Field(default=30, gt=0)
    #: Seconds between two writes of what a task tells of its progress.
    progress_interval: float = Field(default=0.5, ge=0)
    #: Whose are tasks that name no organization; without it their states are not written.
    default_organization: UUID | None = None

    #: Modules with tasks of one's own, besides those that installed packages name as entry points.
    task_modules: Words = ()
    #: The queues of tasks, by their names or patterns; in the environment as JSON.
    task_routes: dict[str, str] = Field(default_factory=dict)
    #: A type of task that no worker has reported for so many seconds is gone.
    task_type_seconds: float = Field(default=600, ge=1)

    #: The tests of a run, each counted as often as it is executed.
    max_results_per_run: int = Field(default=200_000, ge=1)

    lane_concurrency: int = Field(default=50, ge=1, le=1000)
    lane_slice_seconds: float = Field(default=20, gt=0)
    lane_lease_seconds: float = Field(default=30, ge=1)
    lane_batch: int = Field(default=200, ge=1, le=10_000)
    lane_record_pause: float = Field(default=0.05, ge=0)
    lane_record_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    lane_idle_seconds: float = Field(default=1.0, gt=0)
    lane_grace_seconds: float = Field(default=10, ge=0)
    lane_watch_seconds: float = Field(default=0.5, gt=0)
    #: Where an endpoint takes fewer requests at once than it has lanes, each asks it for so long, then another.
    lane_turn_seconds: float = Field(default=5, gt=0)

    #: Seconds between two reports of a worker, and two looks whether it has to stop a task, while no hint comes.
    report_seconds: float = Field(default=2, gt=0)

    #: Before a request is tried again: this long at first, then twice as long each time, up to the second figure.
    target_backoff_seconds: float = Field(default=0.5, gt=0)
    target_backoff_max_seconds: float = Field(default=8, gt=0)
    #: So many tests of a lane in a row that cannot reach the application, and no lane asks it for so long; 0: never.
    target_circuit_tests: int = Field(default=25, ge=0)
    target_circuit_seconds: float = Field(default=30, gt=0, le=86_400)
    #: When an application answers Retry-After, all lanes wait, so long at most before one asks it again.
    target_hold_max_seconds: float = Field(default=60, gt=0, le=86_400)
    #: Characters that the answers to all turns of a test may have together.
    target_conversation_length: int = Field(default=4_000_000, ge=1, le=100_000_000)
    #: Of a request and a response that an invocation shows, so much of each body.
    invocation_excerpt_bytes: int = Field(default=10_000, ge=0, le=100_000)
    #: Of the request for an OAuth 2.0 token: its time, and the size of its answer.
    target_token_seconds: float = Field(default=10, gt=0)
    target_token_max_bytes: int = Field(default=65_536, ge=1024)
    #: A token is not used in its last seconds; one that does not tell how long it lives, lives so long.
    target_token_margin_seconds: float = Field(default=30, ge=0)
    target_token_lifetime_seconds: float = Field(default=300, gt=0)

    #: What judging may cost: seconds for a pattern, a JSON Schema and all metrics of a test, and the longest texts.
    judging_pattern_seconds: float = Field(default=0.1, gt=0, le=10)
    judging_schema_seconds: float = Field(default=1.0, gt=0, le=60)
    judging_test_seconds: float = Field(default=5.0, gt=0, le=600)
    judging_text_length: int = Field(default=20_000, ge=1, le=200_000)
    judging_json_length: int = Field(default=1_000_000, ge=1)
    #: The longest text that a language model is sent to judge, in characters.
    judging_prompt_length: int = Field(default=100_000, ge=1000, le=1_000_000)
    #: The longest answer of a judge that is read, and how much of its reason is kept.
    judging_verdict_length: int = Field(default=20_000, ge=100, le=1_000_000)
    judging_reason_length: int = Field(default=1_000, ge=1, le=10_000)
    #: How many different judges a lane asks in one slice.
    judging_max_judges: int = Field(default=100, ge=1)

    #: How many deliveries of webhooks a worker sends at once; 0: it sends none.
    webhook_concurrency: int = Field(default=500, ge=0, le=10_000)
    webhook_endpoint_places: int = Field(default=10, ge=1, le=1000)
    webhook_timeout_seconds: float = Field(default=15, gt=0, le=300)
    webhook_retry_delays: Delays = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    webhook_retry_jitter: float = Field(default=0.1, ge=0, lt=1)
    #: When a receiver answers Retry-After, so long at most before it is tried again.
    webhook_retry_after_max_seconds: float = Field(default=DAY, ge=0)
    webhook_disable_after_hours: float = Field(default=120, gt=0)
    #: How many characters of a receiver's answer are kept.
    webhook_excerpt_length: int = Field(default=1000, ge=0, le=4000)

    #: Where the worker tells Prometheus of itself; 0: nowhere.
    worker_metrics_port: int = Field(default=0, ge=0, le=65_535)
    worker_metrics_host: str = "127.0.0.1"
    #: Seconds that a worker's main loop may stand still, and its reports may be missing, before it counts as dead.
    worker_live_seconds: float = Field(default=60, ge=1)

    sweep_pause_seconds: float = Field(default=5, gt=0)
    sweep_batch: int = Field(default=100, ge=1)
    dead_node_seconds: float = Field(default=300, ge=60)
    #: 0: a task without a message and a worker is left as it is.
    lost_task_seconds: float = Field(default=300, ge=0)

    prune_pause_seconds: float = Field(default=60, gt=0)
    prune_batch: int = Field(default=1000, ge=1)
    retention_event_days: float = Field(default=7, gt=0)
    #: Of results and of what they belong to: runs and tasks.
    retention_result_days: float = Field(default=30, gt=0)
    retention_delivery_days: float = Field(default=30, gt=0)
    retention_idempotency_key_days: float = Field(default=1, gt=0)
    retention_chord_days: float = Field(default=1, gt=0)
    retention_audit_days: float = Field(default=365, gt=0)

    @cached_property
    def lanes(self) -> LaneSettings:
        """What concerns lanes; leases are renewed well before they end."""
        return LaneSettings(
            concurrency=self.lane_concurrency,
            slice_seconds=self.lane_slice_seconds,
            lease=self.lane_lease_seconds,
            batch=self.lane_batch,
            record_pause=self.lane_record_pause,
            record_bytes=self.lane_record_bytes,
            keep_pause=self.lane_lease_seconds / 4,
            idle_seconds=self.lane_idle_seconds,
            watch_pause=self.lane_watch_seconds,
            grace=self.lane_grace_seconds,
            turn=self.lane_turn_seconds,
        )

    @cached_property
    def coordination(self) -> CoordinationSettings:
        """What concerns those who ask the same endpoint."""
        return CoordinationSettings(
            pause=self.lane_watch_seconds,
            lease=self.lane_lease_seconds,
            turn=self.lane_turn_seconds,
            longest_hold=self.target_hold_max_seconds,
            circuit_tests=self.target_circuit_tests,
            circuit_seconds=self.target_circuit_seconds,
        )

    @cached_property
    def outbox(self) -> OutboxSettings:
        """What concerns passing messages on."""
        return OutboxSettings(
            ahead=self.broker_ahead, batch=100, pause=self.polling_interval, lost_after=self.broker_lost_seconds
        )

    @cached_property
    def webhooks(self) -> WebhookSettings:
        """What concerns deliveries of webhooks."""
        return WebhookSettings(
            places=self.webhook_concurrency,
            slow_places=math.ceil(self.webhook_concurrency / 4),
            endpoint_places=self.webhook_endpoint_places,
            timeout=self.webhook_timeout_seconds,
            lease=self.webhook_timeout_seconds + 30,
            delays=self.webhook_retry_delays,
            jitter=self.webhook_retry_jitter,
            disable_after=self.webhook_disable_after_hours * 3600,
            excerpt_length=self.webhook_excerpt_length,
            retry_after_max=self.webhook_retry_after_max_seconds,
            pause=self.polling_interval,
        )

    @cached_property
    def sweeper(self) -> SweeperSettings:
        """What concerns the sweeper."""
        return SweeperSettings(
            pause=self.sweep_pause_seconds,
            grace=self.lane_grace_seconds,
            batch=self.sweep_batch,
            dead_node_after=self.dead_node_seconds,
            lost_task_after=self.lost_task_seconds,
        )

    @cached_property
    def retention(self) -> RetentionSettings:
        """What concerns the removal of what is finished."""
        return RetentionSettings(
            pause=self.prune_pause_seconds,
            batch=self.prune_batch,
            events=self.retention_event_days * DAY,
            results=self.retention_result_days * DAY,
            deliveries=self.retention_delivery_days * DAY,
            idempotency_keys=self.retention_idempotency_key_days * DAY,
            chords=self.retention_chord_days * DAY,
            audit_events=self.retention_audit_days * DAY,
        )


def load_worker_settings(**values: Any) -> WorkerSettings:
    """Read the worker's settings.

    Raises:
        SettingsInvalid: with a sentence for each setting that is missing or wrong.
    """
    return load_settings(WorkerSettings, **values)
