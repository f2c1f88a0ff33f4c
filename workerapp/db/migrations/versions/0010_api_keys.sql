-- A key may be a user's of its own organization only: foreign keys are checked past row-level security.
ALTER TABLE app_user ADD UNIQUE (organization_id, id);
ALTER TABLE api_key
    DROP CONSTRAINT api_key_user_id_fkey,
    ADD FOREIGN KEY (organization_id, user_id) REFERENCES app_user (organization_id, id) ON DELETE CASCADE;

-- Removing a user looks for the user's keys; the index on the organization alone is a prefix of this one.
CREATE INDEX ON api_key (organization_id, user_id);
DROP INDEX api_key_organization_id_idx;

ALTER TABLE app_user ADD CHECK (length(name) BETWEEN 1 AND 200);
ALTER TABLE api_key ADD CHECK (length(name) BETWEEN 1 AND 200);
