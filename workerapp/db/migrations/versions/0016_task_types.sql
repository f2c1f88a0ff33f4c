-- The tasks that workers have, as they report them: of no organization, and with nothing of any. A name has several rows
-- while workers of several versions are at work; the one that came last counts.
CREATE TABLE task_type (
    name text NOT NULL,
    -- of all that is told of it
    hash text NOT NULL,
    description text,
    -- null for the default one
    queue text,
    arguments jsonb NOT NULL,
    first_reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, hash)
);

-- Lists begin their pages behind an item, so the id belongs to what they are sorted by. No index has the state of a task:
-- every change of state would have to write it.
DROP INDEX task_organization_id_created_at_idx;
CREATE INDEX ON task (organization_id, created_at, id);
CREATE INDEX ON task (organization_id, finished_at, id) WHERE finished_at IS NOT NULL;
CREATE INDEX ON task (organization_id, name, created_at, id);
CREATE INDEX ON task (organization_id, created_at, id) WHERE finished_at IS NULL;

DROP INDEX test_run_organization_id_id_idx;
CREATE INDEX ON test_run (organization_id, created_at, id);
CREATE INDEX ON test_run (organization_id, finished_at, id) WHERE finished_at IS NOT NULL;
CREATE INDEX ON test_run (test_configuration_id, created_at, id);
CREATE INDEX ON test_configuration (test_set_id);
