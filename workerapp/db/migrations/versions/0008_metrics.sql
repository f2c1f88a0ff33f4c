-- A metric that tests and configurations refer to by its id; its version counts its changes.
CREATE TABLE metric (
    id uuid PRIMARY KEY DEFAULT uuid7(),
    organization_id uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL,
    description text,
    spec jsonb NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz
);
CREATE INDEX ON metric (organization_id, id);
CREATE UNIQUE INDEX metric_name ON metric (organization_id, name) WHERE archived_at IS NULL;
