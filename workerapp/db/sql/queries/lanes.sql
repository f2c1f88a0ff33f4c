-- name: act_for
-- The lane's connection is its own and lives as long as the slice, so the tenant is set for the session.
SELECT set_config('app.current_organization', %(organization_id)s, false),
       set_config('app.current_user', %(user_id)s, false)

-- name: start
-- Starts the slice the message names, unless the lane has moved on or another process is at it.
WITH before AS (
    SELECT leased_by FROM lane WHERE test_run_id = %(run)s AND number = %(number)s FOR UPDATE
), started AS (
    -- From `before`: the row has to be read before it is written.
    UPDATE lane SET leased_by = %(holder)s, lease_until = now() + make_interval(secs => %(lease)s)
    FROM before
    WHERE test_run_id = %(run)s AND number = %(number)s AND slice = %(slice)s AND finished_at IS NULL
      AND (lease_until IS NULL OR lease_until < now())
    RETURNING concurrency, before.leased_by AS before
)
SELECT started.concurrency, started.before, r.snapshot, r.finished_at IS NOT NULL AS settled,
       r.cancel_requested_at IS NOT NULL AS cancelled,
       e.id AS endpoint_id, e.organization_id, e.sealed_headers,
       -- Of what a judge's endpoint can take, in proportion to the limits of the run's lanes.
       started.concurrency::double precision / (
           SELECT sum(concurrency) FROM lane WHERE test_run_id = %(run)s AND finished_at IS NULL) AS share
FROM started
JOIN test_run r ON r.id = %(run)s
JOIN endpoint e ON e.id = (r.snapshot->>'endpoint_id')::uuid

-- name: not_started
-- Why a slice cannot be started: its lane has finished, or is being worked on and may be taken over in so many seconds;
-- no row if the lane has gone on to another slice.
SELECT finished_at IS NOT NULL AS finished,
       greatest(extract(epoch FROM lease_until - now()), 0)::double precision AS seconds
FROM lane WHERE test_run_id = %(run)s AND number = %(number)s AND slice = %(slice)s

-- name: inherit
-- What the process that had this lane before had leased is free again: it no longer holds the lane.
UPDATE test_result SET leased_by = NULL, lease_until = NULL
WHERE test_run_id = %(run)s AND status = 'pending' AND leased_by = %(before)s

-- name: lease
-- Takes the next pending tests that nobody works on: all in the order of the set, then all of them once more.
WITH chosen AS (
    SELECT test_run_id, test_id, repeat FROM test_result
    WHERE test_run_id = %(run)s AND status = 'pending' AND (lease_until IS NULL OR lease_until < now())
    ORDER BY repeat, position LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE test_result r SET leased_by = %(holder)s, lease_until = now() + make_interval(secs => %(lease)s)
    FROM chosen
    WHERE r.test_run_id = chosen.test_run_id AND r.test_id = chosen.test_id AND r.repeat = chosen.repeat
    RETURNING r.test_id, r.repeat, r.position, r.output, r.latency_ms, r.http_status, r.error
)
SELECT t.id, leased.repeat, t.input, t.turns, t.expected, t.assertions, t.metadata,
       leased.output, leased.latency_ms, leased.http_status, leased.error
FROM leased JOIN test t ON t.id = leased.test_id
ORDER BY leased.repeat, leased.position

-- name: record
-- Writes finished tests; a test that another lane finished first keeps its result. Tells the run's status if it settled.
SELECT record_results(%(run)s, %(results)s)

-- name: keep
-- Keeps the lane and its tests leased, and tells whether this process still has them.
WITH kept AS (
    UPDATE lane SET lease_until = now() + make_interval(secs => %(lease)s)
    WHERE test_run_id = %(run)s AND number = %(number)s AND leased_by = %(holder)s
    RETURNING number
), renewed AS (
    UPDATE test_result SET lease_until = now() + make_interval(secs => %(lease)s)
    WHERE test_run_id = %(run)s AND status = 'pending' AND leased_by = %(holder)s
)
SELECT EXISTS (SELECT FROM kept) AS held

-- name: release
-- Gives back the tests that were leased and not begun.
UPDATE test_result SET leased_by = NULL, lease_until = NULL
WHERE test_run_id = %(run)s AND status = 'pending' AND leased_by = %(holder)s

-- name: orphans
-- Pending tests that no live lane holds, or that are not planned yet: somebody has to wait for them.
SELECT count(*) + (SELECT planning::integer FROM test_run WHERE id = %(run)s) AS tests FROM test_result r
WHERE r.test_run_id = %(run)s AND r.status = 'pending' AND NOT EXISTS (
    SELECT FROM lane l WHERE l.test_run_id = r.test_run_id AND l.leased_by = r.leased_by AND l.lease_until > now())

-- name: finish
-- The lane has nothing left to do.
UPDATE lane SET finished_at = now(), leased_by = NULL, lease_until = NULL
WHERE test_run_id = %(run)s AND number = %(number)s AND leased_by = %(holder)s

-- name: watch
-- Whether the run has ended, or is to end.
SELECT finished_at IS NOT NULL OR cancel_requested_at IS NOT NULL AS ended FROM test_run WHERE id = %(run)s

-- name: settle
-- The last lane at work settles a cancelled run, so that what the others have finished is recorded before.
SELECT settle_run(%(run)s) WHERE NOT EXISTS (
    SELECT FROM lane WHERE test_run_id = %(run)s AND finished_at IS NULL AND lease_until > now())

-- name: let_go
-- The slice failed: whoever gets its message next may start it at once.
UPDATE lane SET leased_by = NULL, lease_until = NULL
WHERE test_run_id = %(run)s AND number = %(number)s AND leased_by = %(holder)s
