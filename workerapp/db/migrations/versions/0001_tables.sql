-- Keys that sort by time: the first 48 bits are milliseconds since 1970 (RFC 9562, version 7).
CREATE FUNCTION uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;

-- ---------------------------------------------------------------- who
CREATE TABLE organization (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE app_user (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL,
    email text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, email)
);

CREATE TABLE api_key (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    user_id uuid REFERENCES app_user ON DELETE CASCADE,
    name text NOT NULL,
    prefix text NOT NULL,
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    scopes text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX ON api_key (organization_id);

CREATE TABLE idempotency_key (
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, key)
);
CREATE INDEX ON idempotency_key (created_at);

-- ---------------------------------------------------------------- what is tested
CREATE TABLE endpoint (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL,
    spec jsonb NOT NULL,
    sealed_headers bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz
);
CREATE INDEX ON endpoint (organization_id, id);

CREATE TABLE test_set (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz
);
CREATE INDEX ON test_set (organization_id, id);

-- A test is never changed, only archived and replaced, so a run's results keep pointing at what was asked.
CREATE TABLE test (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    test_set_id uuid NOT NULL REFERENCES test_set ON DELETE CASCADE,
    position integer NOT NULL,
    input jsonb NOT NULL,
    expected jsonb,
    assertions jsonb NOT NULL DEFAULT '[]',
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz
);
CREATE INDEX ON test (test_set_id, position);
CREATE INDEX ON test (organization_id);

CREATE TABLE test_configuration (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL,
    endpoint_id uuid NOT NULL REFERENCES endpoint,
    test_set_id uuid NOT NULL REFERENCES test_set,
    spec jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz
);
CREATE INDEX ON test_configuration (organization_id, id);

-- ---------------------------------------------------------------- runs
CREATE TABLE run_group (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    test_set_id uuid REFERENCES test_set,
    name text,
    status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'running', 'completed', 'partial', 'failed', 'cancelled')),
    seq integer NOT NULL DEFAULT 1,
    task_id text,
    planned integer,
    finished integer NOT NULL DEFAULT 0,
    callback_url text,
    cancel_requested_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX ON run_group (organization_id, id);

CREATE TABLE test_run (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    test_configuration_id uuid NOT NULL REFERENCES test_configuration,
    run_group_id uuid REFERENCES run_group,
    task_id text NOT NULL,
    status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'running', 'completed', 'partial', 'failed', 'cancelled')),
    seq integer NOT NULL DEFAULT 1,
    -- null until the run is planned
    planned integer,
    pending integer NOT NULL DEFAULT 0,
    passed integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    errored integer NOT NULL DEFAULT 0,
    cancelled integer NOT NULL DEFAULT 0,
    unscored integer NOT NULL DEFAULT 0,
    -- the endpoint (without secrets) and the configuration as they were when the run was planned
    snapshot jsonb,
    reason text,
    rerun_of uuid REFERENCES test_run ON DELETE SET NULL,
    rescore_of uuid REFERENCES test_run ON DELETE SET NULL,
    callback_url text,
    created_by uuid,
    cancel_requested_at timestamptz,
    deadline_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX ON test_run (organization_id, id);
CREATE INDEX ON test_run (task_id);
CREATE INDEX test_run_open ON test_run (deadline_at) WHERE finished_at IS NULL;
CREATE INDEX ON test_run (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ON test_run (run_group_id) WHERE run_group_id IS NOT NULL;
CREATE INDEX ON test_run (rerun_of) WHERE rerun_of IS NOT NULL;
CREATE INDEX ON test_run (rescore_of) WHERE rescore_of IS NOT NULL;

CREATE TABLE test_result (
    test_run_id uuid NOT NULL REFERENCES test_run ON DELETE CASCADE,
    test_id uuid NOT NULL REFERENCES test,
    organization_id uuid NOT NULL,
    position integer NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'pass', 'fail', 'error', 'unscored', 'cancelled')),
    output jsonb,
    scores jsonb,
    latency_ms double precision,
    attempts integer NOT NULL DEFAULT 0,
    http_status integer,
    error jsonb,
    leased_by uuid,
    lease_until timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (test_run_id, test_id)
) WITH (fillfactor = 60);
CREATE INDEX test_result_pending ON test_result (test_run_id, position) WHERE status = 'pending';
CREATE INDEX ON test_result (test_run_id, position);

CREATE TABLE lane (
    test_run_id uuid NOT NULL REFERENCES test_run ON DELETE CASCADE,
    number integer NOT NULL,
    organization_id uuid NOT NULL,
    concurrency integer NOT NULL CHECK (concurrency >= 1),
    -- the slice a message must name to start the lane
    slice integer NOT NULL DEFAULT 0,
    task_id text NOT NULL,
    leased_by uuid,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (test_run_id, number)
);

-- ---------------------------------------------------------------- tasks and events
CREATE TABLE task (
    id text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    user_id uuid,
    name text,
    state text NOT NULL DEFAULT 'PENDING',
    seq integer NOT NULL DEFAULT 1,
    result jsonb,
    error jsonb,
    traceback text,
    progress jsonb,
    retries integer NOT NULL DEFAULT 0,
    queue text,
    worker text,
    root_id text,
    parent_id text,
    group_id text,
    children jsonb,
    test_run_id uuid,
    run_group_id uuid,
    -- with RabbitMQ or Redis as the broker: how often the present message was begun
    begun integer NOT NULL DEFAULT 0,
    eta timestamptz,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX ON task (organization_id, created_at);
CREATE INDEX ON task (test_run_id) WHERE test_run_id IS NOT NULL;
CREATE INDEX ON task (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX ON task (finished_at) WHERE finished_at IS NOT NULL;

-- CACHE 1 and no batching of ids: within one subject the order of ids is the order of seq, because both are drawn
-- while the subject's row is locked.
CREATE TABLE task_event (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    organization_id uuid NOT NULL,
    subject_id text NOT NULL,
    seq integer NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL CHECK (octet_length(data::text) <= 8192),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (subject_id, seq)
);
CREATE INDEX ON task_event (xid, id);
CREATE INDEX ON task_event (organization_id, xid, id);

-- ---------------------------------------------------------------- chords
CREATE TABLE chord (
    group_id text PRIMARY KEY,
    organization_id uuid,
    -- null until the header has been counted
    size integer,
    done integer NOT NULL DEFAULT 0,
    body jsonb,
    -- the saved GroupResult of a header that is itself made of groups or chords
    header jsonb,
    fired_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON chord (created_at);
CREATE INDEX chord_open ON chord (created_at) WHERE fired_at IS NULL;
CREATE INDEX ON chord (fired_at) WHERE fired_at IS NOT NULL;

CREATE TABLE chord_part (
    group_id text NOT NULL REFERENCES chord ON DELETE CASCADE,
    task_id text NOT NULL,
    part integer NOT NULL,
    state text NOT NULL,
    result jsonb,
    PRIMARY KEY (group_id, task_id, part)
);

-- ---------------------------------------------------------------- the queue
CREATE TABLE broker_message (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    -- all zeros for messages of no tenant (remote control, other applications): a value, so that rows compare
    organization_id uuid NOT NULL,
    -- 0 is the most urgent: nine minus the message's priority
    rank smallint NOT NULL,
    -- not before this instant; a leased message is hidden until its lease ends
    visible_at timestamptz NOT NULL,
    expires_at timestamptz,
    read_count integer NOT NULL DEFAULT 0,
    leased_by uuid,
    -- with RabbitMQ or Redis as the broker: since when it has the message; the row stays until a worker begins the task
    published_at timestamptz,
    task_id text,
    message jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX broker_message_ready ON broker_message (queue, organization_id, rank, visible_at, id);
CREATE INDEX broker_message_leased ON broker_message (queue, organization_id) WHERE leased_by IS NOT NULL;
CREATE INDEX ON broker_message (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX ON broker_message (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE broker_binding (
    exchange text NOT NULL,
    exchange_type text NOT NULL CHECK (exchange_type IN ('direct', 'topic', 'fanout')),
    routing_key text NOT NULL,
    pattern text NOT NULL DEFAULT '',
    queue text NOT NULL,
    -- queues of one node (remote control, events) die with it; null for queues that stay
    alive_at timestamptz,
    PRIMARY KEY (exchange, routing_key, queue)
);
CREATE INDEX ON broker_binding (queue);

CREATE TABLE worker_heartbeat (
    node text PRIMARY KEY,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    pool text NOT NULL,
    concurrency integer NOT NULL,
    queues text[] NOT NULL,
    -- what it holds: id, name, started_at (null: not begun) and pid of each task
    tasks jsonb NOT NULL DEFAULT '[]'
);

-- What the sweeper did, step by step.
CREATE TABLE sweep_step (
    step text PRIMARY KEY,
    node text NOT NULL,
    swept_at timestamptz NOT NULL,
    seconds double precision NOT NULL,
    -- how much there was to do in the last sweep, and in all
    done bigint NOT NULL,
    done_in_all bigint NOT NULL,
    done_at timestamptz,
    failed_at timestamptz,
    error text
);

-- ---------------------------------------------------------------- webhooks
CREATE TABLE webhook_endpoint (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    url text NOT NULL,
    description text,
    event_types text[] NOT NULL DEFAULT '{}',
    sealed_secrets bytea NOT NULL,
    sealed_headers bytea,
    rate_per_second double precision,
    disabled_at timestamptz,
    failing_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON webhook_endpoint (organization_id, id);

CREATE TABLE webhook_delivery (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    webhook_endpoint_id uuid REFERENCES webhook_endpoint ON DELETE CASCADE,
    callback_url text,
    event_type text NOT NULL,
    subject_id text NOT NULL,
    payload jsonb NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'exhausted')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT now(),
    leased_by uuid,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK (webhook_endpoint_id IS NOT NULL OR callback_url IS NOT NULL)
);
CREATE INDEX ON webhook_delivery (organization_id, id);
CREATE INDEX ON webhook_delivery (next_attempt_at) WHERE status = 'pending';
CREATE INDEX ON webhook_delivery (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE webhook_attempt (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    webhook_delivery_id uuid NOT NULL REFERENCES webhook_delivery ON DELETE CASCADE,
    number integer NOT NULL,
    http_status integer,
    error text,
    response_excerpt text,
    duration_ms double precision,
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (webhook_delivery_id, number)
);
