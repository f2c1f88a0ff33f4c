-- Each statement finds what must not be there after a fault run.

-- name: unsettled_runs
SELECT 'run ' || id || ' is ' || status || ', ' || pending || ' of ' || coalesce(planned, 0) || ' tests pending'
FROM test_run WHERE finished_at IS NULL OR status NOT IN ('completed', 'partial', 'failed', 'cancelled');

-- name: lost_tests
SELECT 'run ' || r.id || ' has ' || count(t.test_id) || ' results of ' || coalesce(r.planned, 0) || ' planned tests'
FROM test_run r LEFT JOIN test_result t ON t.test_run_id = r.id AND t.status <> 'pending'
GROUP BY r.id HAVING count(t.test_id) <> coalesce(r.planned, 0);

-- name: duplicated_results
SELECT 'run ' || subject_id || ' told the result of test ' || (data->>'position') || ' ' || count(*) || ' times'
FROM task_event WHERE type = 'test_result.finished' GROUP BY subject_id, data->>'position', data->>'repeat' HAVING count(*) <> 1;

-- name: untold_results
SELECT 'run ' || t.test_run_id || ' never told the result of test ' || t.position
FROM test_result t WHERE NOT EXISTS (
    SELECT FROM task_event e WHERE e.subject_id = t.test_run_id::text AND e.type = 'test_result.finished'
    AND (e.data->>'position')::integer = t.position AND (e.data->>'repeat')::integer = t.repeat);

-- name: wrong_counters
SELECT 'run ' || r.id || ' counts ' || counted::text || ' and has ' || found::text
FROM test_run r CROSS JOIN LATERAL (
    SELECT ARRAY[pending, passed, failed, errored, cancelled, unscored]::bigint[] AS counted) c
CROSS JOIN LATERAL (
    SELECT ARRAY[count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'pass'),
                 count(*) FILTER (WHERE status = 'fail'), count(*) FILTER (WHERE status = 'error'),
                 count(*) FILTER (WHERE status = 'cancelled'), count(*) FILTER (WHERE status = 'unscored')] AS found
    FROM test_result WHERE test_run_id = r.id) f
WHERE counted <> found;

-- name: unexpected_results
SELECT 'run ' || r.id || ' is ' || r.status || ' with ' || passed || ' passed, ' || failed || ' failed, ' || errored
       || ' errored' || coalesce(', such as ' || (SELECT error::text FROM test_result t
           WHERE t.test_run_id = r.id AND t.status = 'error' AND t.http_status IS NULL LIMIT 1), '')
FROM test_run r
WHERE (status, passed, failed, errored) <> ('partial', %(passed)s, %(failed)s, %(errored)s);

-- name: unfinished_tasks
SELECT 'task ' || id || ' (' || coalesce(name, '?') || ') is ' || state
FROM task WHERE state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED') OR finished_at IS NULL;

-- name: failed_tasks
SELECT 'task ' || id || ' (' || coalesce(name, '?') || ') ended as ' || state || ': ' || left(coalesce(error::text, ''), 300)
FROM task WHERE state IN ('FAILURE', 'REVOKED')
-- a lane that was silent for too long was replaced: its tests are told by the other checks
AND NOT (name = 'run_lane' AND error->>'exc_type' = 'WorkerLostError');

-- name: left_messages
SELECT 'message ' || id || ' of task ' || task_id || ' is left, read ' || read_count || ' times'
FROM broker_message WHERE task_id IS NOT NULL;

-- name: open_chords
SELECT 'chord ' || group_id || ' has ' || done || ' of ' || coalesce(size, 0) || ' parts' FROM chord WHERE fired_at IS NULL;

-- name: bodies_published_again
SELECT 'the body ' || task || ' of ' || task_id || ' was published ' || count(*) || ' times'
FROM faults.published WHERE task IN ('tests.faults.collect', 'collect_results') AND retries = 0
GROUP BY task, task_id HAVING count(*) <> 1;

-- name: bodies_never_run
SELECT 'the body of chord ' || chord.id || ' never ran' FROM unnest(%(chords)s::text[]) AS chord(id)
WHERE NOT EXISTS (SELECT FROM faults.execution e WHERE e.task_id = chord.id AND e.task = 'tests.faults.collect');

-- name: tasks_never_run
SELECT 'task ' || submitted.id || ' is unknown or ended without success' FROM unnest(%(tasks)s::text[]) AS submitted(id)
WHERE NOT EXISTS (SELECT FROM task WHERE task.id = submitted.id AND state = 'SUCCESS');

-- name: unasked_runs
SELECT 'run ' || id || ' was made and no caller knows it' FROM test_run WHERE NOT id::text = ANY (%(runs)s::text[]);

-- name: broken_logs
SELECT 'the log of ' || subject_id || ' has ' || count(*) || ' events, the first ' || min(seq) || ', the last ' || max(seq)
FROM task_event GROUP BY subject_id HAVING min(seq) <> 1 OR max(seq) <> count(*);

-- name: unknown_ends
SELECT 'the log of ' || subject_id || ' has ' || count(*) FILTER (WHERE type = ANY (%(terminal)s))
       || ' terminal events, and ends with ' || (array_agg(type ORDER BY seq DESC))[1]
FROM task_event GROUP BY subject_id
HAVING count(*) FILTER (WHERE type = ANY (%(terminal)s)) <> 1
    OR (array_agg(type ORDER BY seq DESC))[1] <> ALL (%(terminal)s);
