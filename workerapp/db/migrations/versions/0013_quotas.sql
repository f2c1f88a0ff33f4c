-- The names of plans are in the gateway's settings.
ALTER TABLE organization ADD COLUMN plan text NOT NULL DEFAULT 'default' CHECK (length(plan) BETWEEN 1 AND 100);

-- How many results a run will have, as far as its submission could tell; `planned` is what it has.
ALTER TABLE test_run ADD COLUMN expected integer NOT NULL DEFAULT 0;

-- What is open of one organization is counted when more of it is submitted. A run's counts are not part of the index, so
-- recording results writes no index.
CREATE INDEX test_run_open_of_organization ON test_run (organization_id) WHERE finished_at IS NULL;
CREATE INDEX task_open_of_organization ON task (organization_id)
WHERE finished_at IS NULL AND test_run_id IS NULL AND run_group_id IS NULL;

-- They answer more columns now, and are made again.
DROP FUNCTION IF EXISTS admin_organizations(text, integer);
DROP FUNCTION IF EXISTS admin_organization(uuid);
DROP FUNCTION IF EXISTS admin_rename_organization(uuid, text);
