-- name: task
-- A task as its events tell of it, with the number of its latest event.
SELECT seq, task_event_data(task) AS data, is_final_state(state) AS is_terminal
FROM task WHERE id = :id AND organization_id = :organization_id

-- name: test_run
-- A run as its events tell of it, with the number of its latest event.
SELECT seq, test_run_event_data(test_run) AS data, finished_at IS NOT NULL AS is_terminal
FROM test_run WHERE id = CAST(:id AS uuid) AND organization_id = :organization_id

-- name: run_group
-- A group of runs as its events tell of it, with the number of its latest event.
SELECT seq, run_group_event_data(run_group) AS data, finished_at IS NOT NULL AS is_terminal
FROM run_group WHERE id = CAST(:id AS uuid) AND organization_id = :organization_id
