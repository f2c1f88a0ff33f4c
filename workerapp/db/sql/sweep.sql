-- Repair and retention: what the sweeper finds, removes and remembers. What is finished is removed after a while, in
-- batches; what is not finished is never removed, however old.

-- Chords that fired some time ago, and yet there is neither a message of the body nor has it begun.
-- A body without a row is none that could be lost: a group or a chain, or a task of an app that publishes elsewhere.
CREATE OR REPLACE FUNCTION lost_chord_bodies(p_grace interval, p_limit integer)
RETURNS TABLE (group_id text, organization_id uuid, user_id uuid, test_run_id uuid, size integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT c.group_id, coalesce(c.organization_id, member.organization_id), member.user_id, member.test_run_id, c.size
    FROM chord c LEFT JOIN LATERAL (
        SELECT t.organization_id, t.user_id, t.test_run_id FROM task t WHERE t.group_id = c.group_id LIMIT 1) member ON true
    WHERE c.fired_at BETWEEN now() - p_grace - interval '1 hour' AND now() - p_grace
      AND c.done >= c.size AND c.body #>> '{options,task_id}' IS NOT NULL
      AND NOT EXISTS (SELECT FROM broker_message m WHERE m.task_id = c.body #>> '{options,task_id}')
      AND EXISTS (SELECT FROM task t WHERE t.id = c.body #>> '{options,task_id}' AND t.state = 'PENDING')
    ORDER BY c.fired_at LIMIT p_limit
$$;

-- Lets a chord that had fired fire again.
CREATE OR REPLACE FUNCTION reopen_chord(p_group text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE chord SET fired_at = NULL WHERE group_id = p_group
$$;

-- Notes which tasks have lost their message: it is not in the queue, and no worker that still reports holds the task.
-- Returns those that were found so for p_grace. Looked at are up to 2 * p_looked tasks from a random place on, so that a
-- long queue costs little at a time and none is left out for ever. Left alone is
--   what another application or broker executes: only tasks that came through this queue count, which RabbitMQ or Redis
--   has not delivered (`begun`), in queues that workers who report consume;
--   what says something of its own of itself: it may be finished from elsewhere;
--   what waits for others: a chord whose body has this id, or a task of the same workflow that is still to be executed;
--   what belongs to a run with open tests: it gets new lanes;
--   what belongs to a group whose runs have been started: it ends with them.
CREATE OR REPLACE FUNCTION lost_tasks(p_dead_after interval, p_grace interval, p_looked integer, p_limit integer)
RETURNS TABLE (task_id text, organization_id uuid, name text, state text, worker text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
#variable_conflict use_column
DECLARE
    place text := gen_random_uuid()::text;
    served text[];
    held text[];
BEGIN
    SELECT array_agg(DISTINCT q) INTO served FROM worker_heartbeat w CROSS JOIN LATERAL unnest(w.queues) AS q
    WHERE w.at > now() - p_dead_after;
    SELECT coalesce(array_agg(a->>'id'), '{}') INTO held FROM worker_heartbeat w CROSS JOIN LATERAL jsonb_array_elements(w.tasks) AS a
    WHERE w.at > now() - p_dead_after;
    RETURN QUERY
    WITH looked AS (
        (SELECT * FROM task t WHERE t.enqueued AND t.finished_at IS NULL AND coalesce(t.root_id, t.id) >= place
         ORDER BY coalesce(t.root_id, t.id), t.id LIMIT p_looked)
        UNION ALL
        (SELECT * FROM task t WHERE t.enqueued AND t.finished_at IS NULL AND coalesce(t.root_id, t.id) < place
         ORDER BY coalesce(t.root_id, t.id), t.id LIMIT p_looked)
    ), judged AS (
        SELECT l.id, l.missed_at, coalesce(l.started_at, l.created_at) AS moved_at, coalesce(
            l.begun = 0 AND NOT is_own_state(l.state) AND l.queue = ANY (served)
            AND coalesce(l.started_at, l.created_at) < now() - p_grace
            AND NOT l.id = ANY (held)
            AND NOT EXISTS (SELECT FROM broker_message m WHERE m.task_id = l.id)
            AND NOT EXISTS (
                SELECT FROM test_run r WHERE r.id = l.test_run_id AND r.finished_at IS NULL AND r.planned IS NOT NULL)
            AND NOT EXISTS (
                SELECT FROM run_group g WHERE g.id = l.run_group_id AND g.finished_at IS NULL AND g.started_at IS NOT NULL)
            AND NOT EXISTS (
                SELECT FROM task k
                WHERE k.enqueued AND k.finished_at IS NULL AND coalesce(k.root_id, k.id) = coalesce(l.root_id, l.id)
                  AND k.id <> l.id
                  AND (k.begun > 0 OR k.id = ANY (held)
                       OR EXISTS (SELECT FROM broker_message m WHERE m.task_id = k.id)))
            AND NOT EXISTS (
                SELECT FROM chord c WHERE c.fired_at IS NULL AND c.body #>> '{options,task_id}' = l.id),
            false) AS is_missed
        FROM looked l
    ), noted AS (
        -- what has begun since it was missed begins anew
        UPDATE task t SET missed_at = CASE WHEN j.is_missed THEN now() END FROM judged j
        WHERE t.id = j.id AND CASE WHEN j.is_missed THEN j.missed_at IS NULL OR j.missed_at < j.moved_at
                                   ELSE j.missed_at IS NOT NULL END
    )
    SELECT t.id, t.organization_id, t.name, t.state, t.worker FROM judged j JOIN task t ON t.id = j.id
    WHERE j.is_missed AND j.missed_at BETWEEN j.moved_at AND now() - p_grace
    ORDER BY j.missed_at LIMIT p_limit;
END $$;

-- Ends a task as `lost_tasks` found it, unless it has moved since; tells whether it did.
CREATE OR REPLACE FUNCTION end_lost_task(p_task text, p_state text, p_reason text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
BEGIN
    PERFORM FROM task WHERE id = p_task FOR NO KEY UPDATE;
    UPDATE task SET
        state = 'FAILURE', finished_at = clock_timestamp(),
        error = jsonb_build_object('exc_type', 'WorkerLostError', 'exc_module', 'billiard.exceptions',
                                   'exc_message', jsonb_build_array(p_reason))
    WHERE id = p_task AND state = p_state AND missed_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM broker_message m WHERE m.task_id = p_task);
    RETURN FOUND;
END $$;

-- Removes what nodes left behind that were not seen for p_age. Returns how many there were.
CREATE OR REPLACE FUNCTION remove_dead_nodes(p_age interval) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    dead_queues bigint := (SELECT count(DISTINCT queue) FROM broker_binding WHERE alive_at < now() - p_age);
    dead_nodes bigint;
BEGIN
    PERFORM broker_sweep(p_age);
    DELETE FROM worker_heartbeat WHERE at < now() - p_age;
    GET DIAGNOSTICS dead_nodes = ROW_COUNT;
    RETURN dead_queues + dead_nodes;
END $$;

-- ---------------------------------------------------------------- retention
-- One batch of the event log after p_after, the oldest first: what is older than p_age goes, unless its subject has not
-- ended. `last_id` is where the next batch begins; null when the rest is younger. How far it went is written in the same
-- transaction, so that a cursor which had not come so far is never continued as if nothing was missing.
CREATE OR REPLACE FUNCTION prune_events(p_age interval, p_after bigint, p_limit integer)
RETURNS TABLE (removed bigint, last_id bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH batch AS (
        SELECT id, subject_id, type, at < now() - p_age AS is_old FROM task_event
        WHERE id > p_after ORDER BY id LIMIT p_limit
    ), gone AS (
        DELETE FROM task_event e USING batch b
        WHERE e.id = b.id AND b.is_old AND CASE split_part(b.type, '.', 1)
            WHEN 'task' THEN NOT EXISTS (SELECT FROM task t WHERE t.id = b.subject_id AND NOT is_final_state(t.state))
            WHEN 'run_group' THEN NOT EXISTS (
                SELECT FROM run_group g WHERE g.id = b.subject_id::uuid AND g.finished_at IS NULL)
            ELSE NOT EXISTS (SELECT FROM test_run r WHERE r.id = b.subject_id::uuid AND r.finished_at IS NULL)
            END
        RETURNING e.xid, e.id
    ), horizon AS (
        UPDATE event_log l SET
            pruned_xid = greatest(l.pruned_xid, newest.xid), pruned_id = greatest(l.pruned_id, newest.id)
        FROM (SELECT max(xid) AS xid, max(id) AS id FROM gone) newest
        WHERE newest.id IS NOT NULL
    )
    SELECT (SELECT count(*) FROM gone),
           (SELECT CASE WHEN count(*) = p_limit AND bool_and(is_old) THEN max(id) END FROM batch)
$$;

-- Results first, so that no statement has to remove a whole run.
CREATE OR REPLACE FUNCTION prune_results(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH gone AS (
        DELETE FROM test_result WHERE (test_run_id, test_id, repeat) IN (
            SELECT t.test_run_id, t.test_id, t.repeat FROM test_run r JOIN test_result t ON t.test_run_id = r.id
            WHERE r.finished_at < now() - p_age LIMIT p_limit)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE OR REPLACE FUNCTION prune_runs(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH gone AS (
        DELETE FROM test_run WHERE id IN (
            SELECT r.id FROM test_run r
            WHERE r.finished_at < now() - p_age
              AND NOT EXISTS (SELECT FROM test_result t WHERE t.test_run_id = r.id)
              AND NOT EXISTS (SELECT FROM run_group g WHERE g.id = r.run_group_id AND g.finished_at IS NULL)
            LIMIT p_limit)
        RETURNING 1
    ), groups AS (
        DELETE FROM run_group WHERE id IN (
            SELECT g.id FROM run_group g
            WHERE g.finished_at < now() - p_age AND NOT EXISTS (SELECT FROM test_run r WHERE r.run_group_id = g.id)
            LIMIT p_limit)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM groups)
$$;

CREATE OR REPLACE FUNCTION prune_finished_tasks(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH gone AS (
        DELETE FROM task WHERE id IN (
            SELECT t.id FROM task t
            WHERE t.finished_at < now() - p_age
              AND NOT EXISTS (SELECT FROM test_run r WHERE r.id = t.test_run_id AND r.finished_at IS NULL)
              AND NOT EXISTS (SELECT FROM run_group g WHERE g.id = t.run_group_id AND g.finished_at IS NULL)
            LIMIT p_limit)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

-- Chords that have fired; and older ones that never can, because no member of theirs is left to return.
CREATE OR REPLACE FUNCTION prune_finished_chords(p_age interval, p_abandoned interval, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH gone AS (
        DELETE FROM chord WHERE group_id IN (
            (SELECT c.group_id FROM chord c WHERE c.fired_at < now() - p_age LIMIT p_limit)
            UNION ALL
            (SELECT c.group_id FROM chord c
             WHERE c.fired_at IS NULL AND c.created_at < now() - p_abandoned
               AND NOT EXISTS (SELECT FROM task t WHERE t.group_id = c.group_id AND NOT is_final_state(t.state))
             LIMIT p_limit))
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE OR REPLACE FUNCTION prune_deliveries(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH gone AS (
        DELETE FROM webhook_delivery WHERE id IN (
            SELECT id FROM webhook_delivery WHERE finished_at < now() - p_age AND status <> 'pending' LIMIT p_limit)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE OR REPLACE FUNCTION prune_idempotency_keys(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH gone AS (
        DELETE FROM idempotency_key WHERE (organization_id, key) IN (
            SELECT organization_id, key FROM idempotency_key WHERE created_at < now() - p_age LIMIT p_limit)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

-- ---------------------------------------------------------------- what was done
CREATE OR REPLACE FUNCTION record_sweep(p_step text, p_node text, p_done bigint, p_seconds double precision, p_error text)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO sweep_step AS s (step, node, swept_at, seconds, done, done_in_all, done_at, failed_at, error)
    VALUES (p_step, p_node, now(), p_seconds, p_done, p_done, CASE WHEN p_done > 0 THEN now() END,
            CASE WHEN p_error IS NOT NULL THEN now() END, short_text(p_error, 500))
    ON CONFLICT (step) DO UPDATE SET
        node = EXCLUDED.node, swept_at = EXCLUDED.swept_at, seconds = EXCLUDED.seconds, done = EXCLUDED.done,
        done_in_all = s.done_in_all + EXCLUDED.done, done_at = coalesce(EXCLUDED.done_at, s.done_at),
        failed_at = coalesce(EXCLUDED.failed_at, s.failed_at), error = coalesce(EXCLUDED.error, s.error)
$$;

CREATE OR REPLACE FUNCTION admin_sweeper() RETURNS SETOF sweep_step
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT * FROM sweep_step
$$;
