-- name: exists
SELECT EXISTS (SELECT FROM run_group WHERE id = :group)

-- name: lock_runs
-- Before the group, in this order: see groups.sql.
SELECT FROM test_run WHERE run_group_id = :group ORDER BY id FOR NO KEY UPDATE

-- name: begin
-- The group begins, unless it has already or never will.
UPDATE run_group SET status = 'running', started_at = now()
WHERE id = :group AND status = 'queued' AND cancel_requested_at IS NULL

-- name: to_start
-- Its runs that have not ended, in their order.
SELECT id AS test_run_id, test_configuration_id, task_id FROM test_run
WHERE run_group_id = :group AND finished_at IS NULL ORDER BY group_place

-- name: settle
-- Settles the group if it is due; its status then, or null.
SELECT settle_group(:group)

-- name: settle_of_run
-- The same for the group of a run, if it is of one and has ended.
SELECT settle_group_of(:run)

-- name: result
-- What the group's task answers when the group has ended.
SELECT result_of_group(g) FROM run_group g WHERE id = :group

-- name: differences
-- A page of the tests that differ between the runs of a group, behind the place (:after_place, :after_key): a row for
-- each run that has the test or whose baseline does.
WITH outcome AS MATERIALIZED (
    SELECT * FROM group_outcomes(:organization_id, :group) WHERE differs
), page AS MATERIALIZED (
    SELECT key, place FROM outcome
    WHERE (place, key) > (CAST(:after_place AS integer), CAST(:after_key AS uuid))
    GROUP BY key, place
    HAVING CAST(:changes AS text[]) IS NULL OR bool_or(change = ANY (CAST(:changes AS text[])))
    ORDER BY place, key LIMIT :limit
)
SELECT page.key, page.place, left(asked_by(t) #>> '{}', :excerpt) AS input, o.test_run_id, o.change,
       o.test_id, o.position, o.status, o.repeats, o.passed,
       CAST(r.scores->>'score' AS double precision) AS score, left(r.output->>'output', :excerpt) AS output,
       left(coalesce(r.error->>'message', r.scores->>'reason'), :excerpt) AS reason
FROM page JOIN outcome o ON o.key = page.key
JOIN test t ON t.id = page.key
LEFT JOIN LATERAL (
    SELECT scores, output, error FROM test_result
    WHERE test_run_id = o.test_run_id AND test_id = o.test_id AND status = o.status ORDER BY repeat LIMIT 1
) r ON true
ORDER BY page.place, page.key
