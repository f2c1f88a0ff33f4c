ALTER TABLE task
    -- its messages are rows of broker_message; not so for tasks of adopted apps, and of apps that only store results here
    ADD COLUMN enqueued boolean NOT NULL DEFAULT false,
    -- since when the sweeper has found neither its message nor a worker that holds it
    ADD COLUMN missed_at timestamptz;

-- The owner is bound by row-level security too, until access.sql forces it again at the end of this upgrade.
ALTER TABLE task NO FORCE ROW LEVEL SECURITY;
UPDATE task SET enqueued = true WHERE id IN (SELECT task_id FROM broker_message);

CREATE INDEX task_open ON task (coalesce(root_id, id), id) WHERE enqueued AND finished_at IS NULL;
