"""The tenants' tables as SQLAlchemy sees them; the migrations make them, and a test holds both together.

Names are unqualified: every connection has our schema as its search path. The queue, chords and heartbeats are reached
through SQL functions only.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    FetchedValue,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

metadata = MetaData()
Time = DateTime(timezone=True)
#: In a column that may be null, None is null and not the JSON value of that name.
OptionalJSON = JSONB(none_as_null=True)


class Xid(UserDefinedType[str]):
    """Postgres' 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


def _id() -> Column[Any]:
    return Column("id", Uuid, primary_key=True, server_default=FetchedValue())


def _key(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, primary_key=True)


def _needed(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _optional(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=True)


organization = Table(
    "organization",
    metadata,
    _id(),
    _needed("name", Text),
    _needed("created_at", Time),
    _needed("plan", Text),
)

app_user = Table(
    "app_user",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("name", Text),
    _optional("email", Text),
    _needed("created_at", Time),
)

api_key = Table(
    "api_key",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _optional("user_id", Uuid),
    _needed("name", Text),
    _needed("prefix", Text),
    _needed("secret_hash", LargeBinary),
    _needed("scopes", ARRAY(Text)),
    _needed("created_at", Time),
    _optional("expires_at", Time),
    _optional("last_used_at", Time),
    _optional("revoked_at", Time),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    _key("organization_id", Uuid),
    _key("key", Text),
    _needed("fingerprint", LargeBinary),
    _needed("status", Integer),
    _needed("headers", JSONB),
    _needed("body", JSONB),
    _needed("created_at", Time),
)

endpoint = Table(
    "endpoint",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("name", Text),
    _needed("spec", JSONB),
    _optional("sealed_headers", LargeBinary),
    _needed("created_at", Time),
    _needed("updated_at", Time),
    _optional("archived_at", Time),
)

endpoint_state = Table(
    "endpoint_state",
    metadata,
    _key("endpoint_id", Uuid),
    _needed("organization_id", Uuid),
    _optional("next_request_at", Time),
    _optional("held_until", Time),
    _optional("circuit_open_until", Time),
    _optional("circuit_tried_until", Time),
    _optional("circuit_reason", OptionalJSON),
)

endpoint_share = Table(
    "endpoint_share",
    metadata,
    _key("endpoint_id", Uuid),
    _key("holder", Uuid),
    _needed("organization_id", Uuid),
    _needed("granted", Integer),
    _needed("wanted", Integer),
    _needed("since", Time),
    _needed("lease_until", Time),
)

test_set = Table(
    "test_set",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("name", Text),
    _needed("metadata", JSONB),
    _needed("created_at", Time),
    _needed("updated_at", Time),
    _optional("archived_at", Time),
    _needed("version", Integer),
)

test = Table(
    "test",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("test_set_id", Uuid),
    _needed("position", Integer),
    _needed("input", JSONB),
    _optional("expected", OptionalJSON),
    _needed("assertions", JSONB),
    _needed("metadata", JSONB),
    _needed("created_at", Time),
    _optional("archived_at", Time),
    _needed("tags", ARRAY(Text)),
    _optional("turns", OptionalJSON),
)

test_configuration = Table(
    "test_configuration",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("name", Text),
    _needed("endpoint_id", Uuid),
    _needed("test_set_id", Uuid),
    _needed("spec", JSONB),
    _needed("created_at", Time),
    _needed("updated_at", Time),
    _optional("archived_at", Time),
)

metric = Table(
    "metric",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("name", Text),
    _optional("description", Text),
    _needed("spec", JSONB),
    _needed("version", Integer),
    _needed("created_at", Time),
    _needed("updated_at", Time),
    _optional("archived_at", Time),
)

run_group = Table(
    "run_group",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _optional("test_set_id", Uuid),
    _optional("name", Text),
    _needed("status", Text),
    _needed("seq", Integer),
    _optional("task_id", Text),
    _optional("planned", Integer),
    _needed("finished", Integer),
    _optional("callback_url", Text),
    _optional("cancel_requested_at", Time),
    _needed("created_at", Time),
    _optional("started_at", Time),
    _optional("finished_at", Time),
    _optional("baseline_id", Uuid),
    _optional("comparison", OptionalJSON),
    _optional("callback_endpoint_id", Uuid),
)

test_run = Table(
    "test_run",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("test_configuration_id", Uuid),
    _optional("run_group_id", Uuid),
    _needed("task_id", Text),
    _needed("status", Text),
    _needed("seq", Integer),
    _optional("planned", Integer),
    _needed("pending", Integer),
    _needed("passed", Integer),
    _needed("failed", Integer),
    _needed("errored", Integer),
    _needed("cancelled", Integer),
    _needed("unscored", Integer),
    _optional("snapshot", OptionalJSON),
    _optional("reason", Text),
    _optional("rerun_of", Uuid),
    _optional("rescore_of", Uuid),
    _optional("callback_url", Text),
    _optional("created_by", Uuid),
    _optional("cancel_requested_at", Time),
    _needed("deadline_at", Time),
    _needed("created_at", Time),
    _optional("started_at", Time),
    _optional("finished_at", Time),
    _optional("group_place", Integer),
    _needed("planning", Boolean),
    _needed("expected", Integer),
    _optional("callback_endpoint_id", Uuid),
)

test_result = Table(
    "test_result",
    metadata,
    _key("test_run_id", Uuid),
    _key("test_id", Uuid),
    _needed("organization_id", Uuid),
    _needed("position", Integer),
    _needed("status", Text),
    _optional("output", OptionalJSON),
    _optional("scores", OptionalJSON),
    _optional("latency_ms", Double),
    _needed("attempts", Integer),
    _optional("http_status", Integer),
    _optional("error", OptionalJSON),
    _optional("leased_by", Uuid),
    _optional("lease_until", Time),
    _optional("finished_at", Time),
    _key("repeat", Integer),
)

lane = Table(
    "lane",
    metadata,
    _key("test_run_id", Uuid),
    _key("number", Integer),
    _needed("organization_id", Uuid),
    _needed("concurrency", Integer),
    _needed("slice", Integer),
    _needed("task_id", Text),
    _optional("leased_by", Uuid),
    _optional("lease_until", Time),
    _needed("created_at", Time),
    _optional("finished_at", Time),
)

task = Table(
    "task",
    metadata,
    _key("id", Text),
    _needed("organization_id", Uuid),
    _optional("user_id", Uuid),
    _optional("name", Text),
    _needed("state", Text),
    _needed("seq", Integer),
    _optional("result", OptionalJSON),
    _optional("error", OptionalJSON),
    _optional("traceback", Text),
    _optional("progress", OptionalJSON),
    _needed("retries", Integer),
    _optional("queue", Text),
    _optional("worker", Text),
    _optional("root_id", Text),
    _optional("parent_id", Text),
    _optional("group_id", Text),
    _optional("children", OptionalJSON),
    _optional("test_run_id", Uuid),
    _optional("run_group_id", Uuid),
    _needed("begun", Integer),
    _optional("eta", Time),
    _optional("expires_at", Time),
    _needed("created_at", Time),
    _optional("started_at", Time),
    _optional("finished_at", Time),
    _needed("enqueued", Boolean),
    _optional("missed_at", Time),
)

task_event = Table(
    "task_event",
    metadata,
    _key("id", BigInteger),
    _needed("xid", Xid),
    _needed("organization_id", Uuid),
    _needed("subject_id", Text),
    _needed("seq", Integer),
    _needed("type", Text),
    _needed("data", JSONB),
    _needed("at", Time),
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("url", Text),
    _optional("description", Text),
    _needed("event_types", ARRAY(Text)),
    _needed("sealed_secrets", LargeBinary),
    _optional("sealed_headers", LargeBinary),
    _optional("rate_per_second", Double),
    _optional("disabled_at", Time),
    _optional("failing_since", Time),
    _needed("created_at", Time),
    _needed("updated_at", Time),
    _needed("kind", Text),
    _optional("disabled_reason", Text),
    _needed("places", Integer),
    _optional("quick", Boolean),
    _optional("held_until", Time),
    _needed("seq", Integer),
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("webhook_endpoint_id", Uuid),
    _optional("callback_url", Text),
    _needed("event_type", Text),
    _needed("subject_id", Text),
    _needed("payload", JSONB),
    _needed("status", Text),
    _needed("attempts", Integer),
    _optional("next_attempt_at", Time),
    _optional("leased_by", Uuid),
    _optional("lease_until", Time),
    _needed("created_at", Time),
    _optional("finished_at", Time),
    _needed("schedule_place", Integer),
    _optional("http_status", Integer),
    _optional("error", Text),
)

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    _id(),
    _needed("organization_id", Uuid),
    _needed("webhook_delivery_id", Uuid),
    _needed("number", Integer),
    _optional("http_status", Integer),
    _optional("error", Text),
    _optional("response_excerpt", Text),
    _optional("duration_ms", Double),
    _needed("at", Time),
)

audit_event = Table(
    "audit_event",
    metadata,
    _id(),
    _optional("organization_id", Uuid),
    _needed("at", Time),
    _needed("actor", Text),
    _optional("key_id", Uuid),
    _optional("user_id", Uuid),
    _optional("subject", Text),
    _needed("action", Text),
    _needed("outcome", Text),
    _needed("resource_type", Text),
    _optional("resource_id", Text),
    _optional("request_id", Text),
    _optional("client", Text),
    _needed("details", JSONB),
)
