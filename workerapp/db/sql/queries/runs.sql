-- name: lock
-- The run with its configuration and endpoint, locked against everybody who plans, settles or revives it.
SELECT r.id, r.organization_id, r.planned, r.pending, r.finished_at, c.spec AS configuration, c.test_set_id,
       e.id AS endpoint_id, e.spec AS endpoint, r.snapshot, r.run_group_id, r.planning
FROM test_run r
JOIN test_configuration c ON c.id = r.test_configuration_id
JOIN endpoint e ON e.id = c.endpoint_id
WHERE r.id = :run FOR NO KEY UPDATE OF r

-- name: read
-- What a run is planned from.
SELECT r.planning, r.snapshot, c.test_set_id
FROM test_run r JOIN test_configuration c ON c.id = r.test_configuration_id
WHERE r.id = :run

-- name: count_results
-- How many results a run has.
SELECT count(*) FROM test_result WHERE test_run_id = :run

-- name: exists
SELECT EXISTS (SELECT FROM test_run WHERE id = :run)

-- name: plan_results
-- A pending result for each repeat of each test of the set, or of a sample of it, unless there would be more than :limit:
-- what is planned is what is counted. How many results there would be, and the version of the set that has just these
-- tests: one statement sees one state of the set, whoever changes it meanwhile. At random is by a hash of the seed and the
-- test's id, so that a set that gets more tests keeps most of its sample.
WITH chosen AS (
    SELECT t.id, t.organization_id, t.position
    FROM test t
    WHERE t.test_set_id = :test_set AND t.archived_at IS NULL
      AND (CAST(:tags AS text[]) IS NULL OR t.tags && CAST(:tags AS text[]))
    ORDER BY CASE WHEN CAST(:seed AS bigint) IS NOT NULL
                  THEN sha256(convert_to(CAST(:seed AS bigint) || '/' || t.id, 'UTF8')) END, t.position, t.id
    LIMIT CAST(:most AS bigint)
), counted AS (
    SELECT count(*) * :repeats AS results FROM chosen
), planned AS (
    INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat)
    SELECT :run, c.id, c.organization_id, c.place, n.repeat
    FROM (SELECT id, organization_id, row_number() OVER (ORDER BY position, id) - 1 AS place FROM chosen) c
    CROSS JOIN generate_series(1, :repeats) AS n(repeat)
    WHERE (SELECT results <= :limit FROM counted)
)
SELECT counted.results, s.version FROM counted CROSS JOIN test_set s WHERE s.id = :test_set

-- name: size
-- How many tests the set has, its version, and whether there are named metrics that they may be judged by.
SELECT s.version, EXISTS (
           SELECT FROM metric m WHERE m.organization_id = s.organization_id AND m.archived_at IS NULL) AS has_metrics,
       (SELECT count(*) FROM test t WHERE t.test_set_id = s.id AND t.archived_at IS NULL) AS tests
FROM test_set s WHERE s.id = :test_set

-- name: plan_rest
-- The results that a run which has begun does not have yet, for the same tests as it was begun with; if the set was changed
-- meanwhile, those that it has now, and then the run is of no version of it.
WITH chosen AS (
    SELECT t.id, t.organization_id, row_number() OVER (ORDER BY t.position, t.id) - 1 AS place
    FROM test t WHERE t.test_set_id = :test_set AND t.archived_at IS NULL
    ORDER BY t.position, t.id LIMIT CAST(:most AS bigint)
), planned AS (
    INSERT INTO test_result (test_run_id, test_id, organization_id, position)
    SELECT :run, id, organization_id, place FROM chosen
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM planned) AS results, s.version FROM test_set s WHERE s.id = :test_set

-- name: end_planning
-- All of the run is planned; it had :begun results before, and has :added more. It settles if it was cancelled meanwhile.
UPDATE test_run SET
    planning = false, pending = pending + (:begun + :added - planned), planned = :begun + :added,
    snapshot = CASE WHEN snapshot->'test_set_version' = to_jsonb(CAST(:version AS integer)) THEN snapshot
                    ELSE snapshot || '{"test_set_version": null}' END
WHERE id = :run AND planning

-- name: plan_tests_again
-- One pending result for each result of another run that ended so, or for each: the tests as they were, for a test is
-- never changed, whatever has become of the set.
WITH planned AS (
    INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat)
    SELECT :run, s.test_id, s.organization_id, dense_rank() OVER (ORDER BY s.position) - 1, s.repeat
    FROM test_result s
    WHERE s.test_run_id = :source AND (CAST(:statuses AS text[]) IS NULL OR s.status = ANY (CAST(:statuses AS text[])))
    RETURNING 1
)
SELECT (SELECT count(*) FROM planned) AS results, CAST(snapshot->>'test_set_version' AS integer) AS version
FROM test_run WHERE id = :source

-- name: plan_answers_again
-- One pending result for each answer of another run. It is copied, so that the source may be pruned meanwhile; an error
-- is where there is no answer, or a conversation that ended without its last one.
WITH planned AS (
    INSERT INTO test_result
        (test_run_id, test_id, organization_id, position, repeat, output, latency_ms, http_status, error)
    SELECT :run, s.test_id, s.organization_id, dense_rank() OVER (ORDER BY s.position) - 1, s.repeat,
           s.output, s.latency_ms, s.http_status, CASE WHEN s.output -> 'output' IS NULL THEN s.error END
    FROM test_result s WHERE s.test_run_id = :source AND s.status NOT IN ('pending', 'cancelled')
    RETURNING 1
)
SELECT (SELECT count(*) FROM planned) AS results, CAST(snapshot->>'test_set_version' AS integer) AS version
FROM test_run WHERE id = :source

-- name: snapshot
-- What a run was planned with.
SELECT snapshot FROM test_run WHERE id = :run

-- name: named_metrics
-- The named metrics that the run's tests and its configuration refer to, without those that are archived.
SELECT m.id, m.name, m.version, m.spec FROM metric m
WHERE m.organization_id = :organization AND m.archived_at IS NULL AND CAST(m.id AS text) IN (
    SELECT a.assertion->>'metric_id'
    FROM test_result r JOIN test t ON t.id = r.test_id, LATERAL (
        SELECT jsonb_array_elements(t.assertions)
        UNION ALL SELECT jsonb_path_query(t.turns, '$[*].assertions[*]')) AS a (assertion)
    WHERE r.test_run_id = :run AND (t.assertions <> '[]' OR t.turns IS NOT NULL) AND a.assertion->>'type' = 'metric'
    UNION ALL SELECT unnest(CAST(:configured AS text[])))

-- name: begin
-- The run is planned and begins.
UPDATE test_run SET
    planned = :planned, pending = :planned, planning = :planning, status = 'running', started_at = now(),
    snapshot = :snapshot
WHERE id = :run

-- name: add_lane
-- A lane, numbered after those the run already has.
INSERT INTO lane (test_run_id, number, organization_id, concurrency, task_id)
SELECT :run, coalesce(max(number) + 1, 0), :organization_id, :concurrency, :task_id FROM lane WHERE test_run_id = :run
RETURNING number

-- name: next_slice
-- Moves the lane on to its next slice, if this process still holds it.
UPDATE lane SET slice = slice + 1, leased_by = NULL, lease_until = NULL
WHERE test_run_id = :run AND number = :number AND slice = :slice AND leased_by = :holder

-- name: live_lanes
-- Lanes somebody works on, or that were made so lately that their messages may still wait to be delivered.
SELECT count(*) FROM lane
WHERE test_run_id = :run AND finished_at IS NULL
  AND (lease_until > now() OR created_at > now() - make_interval(secs => :grace))

-- name: retire_lanes
-- The lanes that died give way to new ones: a message of theirs that comes late starts nothing, and their tasks end.
WITH retired AS (
    UPDATE lane SET finished_at = now(), leased_by = NULL, lease_until = NULL
    WHERE test_run_id = :run AND finished_at IS NULL
    RETURNING task_id
)
UPDATE task SET
    state = 'FAILURE', finished_at = clock_timestamp(),
    error = jsonb_build_object(
        'exc_type', 'WorkerLostError', 'exc_module', 'billiard.exceptions',
        'exc_message', jsonb_build_array('The worker of this lane was lost; other lanes took its tests over.'))
WHERE id IN (SELECT task_id FROM retired) AND NOT is_final_state(state)

-- name: settle
-- Settles the run if it is due; its status then, or null.
SELECT settle_run(:run)

-- name: summary
-- What the submitted task answers when the run has ended.
SELECT status, planned, passed, failed, errored, cancelled, unscored FROM test_run WHERE id = :run
