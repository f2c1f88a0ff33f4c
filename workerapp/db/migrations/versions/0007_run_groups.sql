ALTER TABLE run_group
    -- the run that the others are compared with
    ADD COLUMN baseline_id uuid,
    -- written when the group ends, so that it outlives the results
    ADD COLUMN comparison jsonb;
CREATE INDEX run_group_open ON run_group (id) WHERE finished_at IS NULL;

-- Which of its group's runs it is, from 0, in the order in which the group was asked for.
ALTER TABLE test_run ADD COLUMN group_place integer;
