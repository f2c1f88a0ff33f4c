-- Counts the set's changes: every one locks the row of the set, so changes of a set come one after the other.
ALTER TABLE test_set ADD COLUMN version integer NOT NULL DEFAULT 1;

ALTER TABLE test ADD COLUMN tags text[] NOT NULL DEFAULT '{}';

-- Pages of a set's tests. With every column that is compared: a planner that knows nothing yet of a set just imported
-- would otherwise join two indexes and sort the whole set for each page.
CREATE INDEX ON test (organization_id, test_set_id, position) WHERE archived_at IS NULL;
