-- Which of a test's executions in the run it is, from 1. All of them have the test's position.
ALTER TABLE test_result ADD COLUMN repeat integer NOT NULL DEFAULT 1 CHECK (repeat >= 1);
ALTER TABLE test_result DROP CONSTRAINT test_result_pkey, ADD PRIMARY KEY (test_run_id, test_id, repeat);

-- In the order in which they are leased, and in that in which they are read.
DROP INDEX test_result_pending;
CREATE INDEX test_result_pending ON test_result (test_run_id, repeat, position) WHERE status = 'pending';
DROP INDEX test_result_test_run_id_position_idx;
CREATE INDEX ON test_result (test_run_id, position, repeat);

-- Written anew with other arguments or columns, which `CREATE OR REPLACE` does not change.
DROP FUNCTION IF EXISTS test_result_event_data(
    uuid, uuid, integer, text, double precision, integer, integer, jsonb);
DROP FUNCTION IF EXISTS paired_results(uuid, uuid, uuid), group_outcomes(uuid, uuid);
