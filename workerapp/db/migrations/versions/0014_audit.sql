-- Who did what to which resource. It refers to nothing by foreign keys: it outlives what it tells of, organizations too,
-- and what no organization owns has none. `at` is not the transaction's time, so that a long one is not told too early.
CREATE TABLE audit_event (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor IN ('key', 'token', 'operator')),
    key_id uuid,
    user_id uuid,
    subject text,
    action text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    outcome text NOT NULL DEFAULT 'done' CHECK (outcome IN ('done', 'denied')),
    resource_type text NOT NULL,
    resource_id text,
    request_id text,
    client text,
    details jsonb NOT NULL DEFAULT '{}' CHECK (length(details::text) <= 4000)
);
CREATE INDEX ON audit_event (organization_id, at, id);
CREATE INDEX ON audit_event (organization_id, action, at) WHERE outcome = 'denied';
CREATE INDEX ON audit_event (at);
