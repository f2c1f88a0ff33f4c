"""The gateway's settings: those that are shared, and the limits of what callers may ask for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.auth.jwt_issuer import JwtIssuers
from gateway.quotas.plan import DEFAULT, Plan, Plans
from gateway.records import MAX_RECORD_BYTES
from gateway.stream.settings import StreamSettings
from gateway.transport.hosts import Hosts, read_proxies
from gateway.transport.limits import ConnectionLimits
from gateway.transport.origins import Origins
from workerapp.contract.tasks import CALLABLE_BY_NAME
from workerapp.db.settings import SettingsInvalid, SharedSettings, Words, load_settings

__all__ = ["GatewaySettings", "SettingsInvalid", "load_gateway_settings"]

DAY = 86_400


class GatewaySettings(SharedSettings):
    """Every setting of a gateway, with its default."""

    model_config = SettingsConfigDict(env_nested_delimiter="__")

    #: Names, or patterns such as `reports.*`, that `POST /v1/tasks` accepts.
    task_allow: Words = CALLABLE_BY_NAME
    #: Queues that `POST /v1/tasks` accepts besides the default one.
    task_queues: Words = ()
    #: How far ahead the times of a submitted task may lie: its `eta` or `countdown`, and `expires`.
    task_ahead_max_seconds: float = Field(default=30 * DAY, gt=0, le=3650 * DAY)
    #: How long it is remembered which tasks workers have reported.
    task_type_cache_seconds: float = Field(default=5, ge=0)
    #: How many tasks and runs are cancelled, and how many runs are retried, by one request.
    max_tasks_at_once: int = Field(default=1000, ge=1)
    max_runs_at_once: int = Field(default=100, ge=1)
    run_deadline_seconds: float = Field(default=DAY, gt=0)
    #: How large an answer to a `GET` is that is compressed, for callers that take it; 0: none is.
    compression_min_bytes: int = Field(default=2048, ge=0)
    #: Whether `/docs` answers, with the reference of the API; it does so without a key.
    reference: bool = True
    #: Whether `/` shows browsers the dashboard; it does so without a key, and what it shows needs one.
    dashboard: bool = True
    #: How many configurations or endpoints one execution of a test set may have.
    max_runs_per_group: int = Field(default=20, ge=1)

    #: Whether `/metrics` answers; it does so without a key.
    metrics: bool = True

    #: Names that requests may be for, as `gateway.example.com` or `*.example.com`; none: any.
    allowed_hosts: Words = ()
    #: Origins whose pages may use the API from a browser, or `*`.
    cors_origins: Words = ()
    #: How long a browser remembers what a page may ask.
    cors_max_age_seconds: int = Field(default=600, ge=0)
    #: For how long a browser that came over TLS comes in no other way; 0: nothing is said of it.
    hsts_seconds: int = Field(default=0, ge=0)
    #: Who is believed what it says of its clients (`X-Forwarded-For`, `X-Forwarded-Proto`).
    trusted_proxies: Words = ("127.0.0.0/8", "::1")

    max_body_bytes: int = Field(default=10 * 1024 * 1024, ge=1024)
    #: How long a body may take to arrive.
    body_receive_seconds: float = Field(default=60, gt=0)
    max_tests_per_request: int = Field(default=10_000, ge=1)
    max_tests_per_set: int = Field(default=200_000, ge=1)
    #: The largest file of tests, the largest test in one, how many are read at once, and how long one may take.
    max_import_bytes: int = Field(default=200 * 1024 * 1024, ge=1024)
    max_test_bytes: int = Field(default=MAX_RECORD_BYTES, ge=1024)
    max_imports: int = Field(default=4, ge=1)
    max_imports_per_organization: int = Field(default=2, ge=1)
    import_receive_seconds: float = Field(default=600, gt=0)
    page_size: int = Field(default=50, ge=1)
    max_page_size: int = Field(default=500, ge=1)
    #: How many metrics, HTTP statuses, error codes, tags and flaky tests a run's statistics list.
    max_statistics_groups: int = Field(default=200, ge=1)
    #: How many characters of inputs, outputs and reasons comparisons, statistics and JUnit reports show.
    excerpt_length: int = Field(default=500, ge=1)
    #: How many results an export reads at once.
    export_page_size: int = Field(default=100, ge=1)
    #: How many events one request looks at for those that pass its filters.
    max_events_scanned: int = Field(default=2_000, ge=1)

    #: How long `Prefer: wait` makes a request wait, at most.
    wait_max_seconds: int = Field(default=30, ge=0)

    idempotency_ttl_seconds: float = Field(default=DAY, gt=0)
    #: How long a request waits for another one with the same key.
    idempotency_wait_seconds: float = Field(default=10, gt=0)

    #: A worker that has not reported for so long counts as dead.
    worker_dead_seconds: float = Field(default=15, gt=0)
    #: How many organizations are listed with each queue, the fullest first.
    queue_organizations: int = Field(default=20, ge=0)

    #: How many keys of an organization may be good at a time, and how long a replaced one may stay good.
    max_api_keys: int = Field(default=100, ge=1)
    key_overlap_max_seconds: int = Field(default=7 * DAY, ge=0)
    #: How many webhook endpoints of each kind an organization may have, and how many secrets of one sign at a time.
    max_webhook_endpoints: int = Field(default=100, ge=1)
    max_webhook_secrets: int = Field(default=5, ge=1)
    #: How long a replaced secret of a webhook endpoint may go on signing.
    webhook_overlap_max_seconds: int = Field(default=7 * DAY, ge=0)
    #: How many deliveries one request makes pending again.
    max_deliveries_recovered: int = Field(default=10_000, ge=1)

    #: How long a key is believed; one that is revoked is forgotten at once by every gateway that hears of it.
    key_cache_seconds: float = Field(default=5, ge=0)
    key_cache_size: int = Field(default=10_000, ge=1)

    #: Identity providers whose tokens (JWTs) are accepted; in the environment as JSON.
    jwt_issuers: JwtIssuers = ()
    #: The largest token that is looked at.
    jwt_max_bytes: int = Field(default=8192, ge=512)
    #: A token is verified again after this time; it is never good for longer than it says.
    jwt_cache_seconds: float = Field(default=60, ge=0)
    jwt_cache_size: int = Field(default=10_000, ge=1)
    #: An issuer's keys are fetched again after this time, and before, for a key that is not among them.
    jwt_keys_max_age_seconds: float = Field(default=3600, gt=0)
    #: How much longer the keys serve while the issuer cannot be reached.
    jwt_keys_stale_seconds: float = Field(default=DAY, ge=0)
    #: The shortest time between two attempts to fetch an issuer's keys.
    jwt_keys_pause_seconds: float = Field(default=10, ge=0)
    #: Of one attempt: its time, and the size of each of the issuer's documents.
    jwt_fetch_timeout_seconds: float = Field(default=5, gt=0)
    jwt_fetch_max_bytes: int = Field(default=256 * 1024, ge=1024)

    #: What each organization may use, by the names of plans; in the environment as JSON.
    plans: Plans = Field(default_factory=lambda: {DEFAULT: Plan()})
    #: How long the plan of an organization is remembered.
    plan_cache_seconds: float = Field(default=5, ge=0)
    #: Of keys and tokens that are not good, from one address.
    failed_attempts_per_second: float = Field(default=10, gt=0)
    failed_attempts_burst: int = Field(default=100, ge=1)

    #: How long a subject's stream token is good, at most, and how long after the subject's end.
    stream_token_seconds: float = Field(default=DAY, gt=0)
    stream_token_grace_seconds: float = Field(default=600, ge=0)
    #: How long a stream ticket is good when nothing else is asked for, and at most.
    stream_ticket_seconds: float = Field(default=3600, ge=1)
    stream_ticket_max_seconds: float = Field(default=DAY, ge=1)

    pool_size: int = Field(default=10, ge=1)
    pool_overflow: int = Field(default=10, ge=0)
    #: How long a request waits for a connection to become free.
    pool_timeout_seconds: float = Field(default=5, gt=0)
    connect_timeout_seconds: float = Field(default=5, gt=0)
    statement_timeout_seconds: float = Field(default=30, gt=0)

    #: Each of its fields by itself: `GATEWAY_STREAM__KEEP_ALIVE`, …
    stream: StreamSettings = StreamSettings()
    #: The same: `GATEWAY_CONNECTION__HEAD_SECONDS`, …
    connection: ConnectionLimits = ConnectionLimits()

    @cached_property
    def hosts(self) -> Hosts:
        """The names that requests may be for."""
        return Hosts.parse(self.allowed_hosts)

    @cached_property
    def origins(self) -> Origins:
        """The origins whose pages may use the API from a browser."""
        return Origins.parse(self.cors_origins)

    @cached_property
    def proxies(self) -> tuple[str, ...]:
        """The networks of proxies that are believed."""
        return read_proxies(self.trusted_proxies)

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        Hosts.parse(words)
        return words

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        Origins.parse(words)
        return words

    @field_validator("trusted_proxies")
    @classmethod
    def _are_proxies(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        read_proxies(words)
        return words


def load_gateway_settings(**values: Any) -> GatewaySettings:
    """Read the gateway's settings.

    Raises:
        SettingsInvalid: with a sentence for each setting that is missing or wrong.
    """
    return load_settings(GatewaySettings, **values)
