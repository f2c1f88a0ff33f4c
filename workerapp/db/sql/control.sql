-- Control: ending work that waits or runs, and seeing who works on what, whatever the broker. To end work is to change
-- rows; a worker that holds it learns of that by a hint, or from the answer to its next report, and stops.
--
-- Locks are taken in one order, so that nobody locks out another: run, message, task, chord.

-- ---------------------------------------------------------------- ending work
-- Ends tasks as REVOKED and removes their messages; returns the ids of those that had not ended before. A chord they
-- belong to still waits for them: the sweeper finds that (`lost_chord_parts`), because to call errbacks takes Celery.
CREATE OR REPLACE FUNCTION end_tasks(p_ids text[], p_reason text) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
BEGIN
    DELETE FROM broker_message WHERE task_id = ANY (p_ids);
    PERFORM FROM task WHERE id = ANY (p_ids) ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY UPDATE task SET state = 'REVOKED', error = revoked_error(p_reason), finished_at = clock_timestamp()
    WHERE id = ANY (p_ids) AND NOT is_final_state(state) RETURNING id;
END $$;

-- A message that no worker has: nobody leased it, or its lease has ended, or it lies in RabbitMQ or Redis.
CREATE OR REPLACE FUNCTION is_waiting(m broker_message) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT m.leased_by IS NULL OR m.visible_at <= now() OR m.published_at IS NOT NULL
$$;

-- As Celery stores it, so that AsyncResult raises what it would raise anyway.
CREATE OR REPLACE FUNCTION revoked_error(p_reason text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('exc_type', 'TaskRevokedError', 'exc_module', 'celery.exceptions',
                              'exc_message', jsonb_build_array(p_reason))
$$;

-- Cancels a run: what waits in a queue is removed. A run that no lane works on settles at once; otherwise the lanes see
-- it, record what they have, and the last of them settles the run. Nothing happens to a run that has ended.
CREATE OR REPLACE FUNCTION end_run(p_run uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    submitted text;
    of_group uuid;
    waiting text[];
BEGIN
    UPDATE test_run SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
    WHERE id = p_run AND finished_at IS NULL RETURNING task_id, run_group_id INTO submitted, of_group;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    waiting := ARRAY(
        SELECT t.id FROM task t JOIN broker_message m ON m.task_id = t.id
        WHERE t.test_run_id = p_run AND NOT is_final_state(t.state) AND is_waiting(m));
    DELETE FROM broker_message WHERE task_id = submitted AND submitted = ANY (waiting);
    PERFORM end_tasks(array_remove(waiting, submitted), 'The run was cancelled.');
    IF NOT EXISTS (SELECT FROM lane WHERE test_run_id = p_run AND finished_at IS NULL AND lease_until > now()) THEN
        PERFORM settle_run(p_run);
        PERFORM settle_group(of_group);
    END IF;
END $$;

-- Ends a task, or the run or the group that was submitted as it. With p_running false a task that has begun is left alone.
CREATE OR REPLACE FUNCTION end_task(p_task text, p_running boolean, p_reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    run uuid := (SELECT r.id FROM task t JOIN test_run r ON r.id = t.test_run_id AND r.task_id = t.id WHERE t.id = p_task);
    runs uuid := (SELECT g.id FROM task t JOIN run_group g ON g.id = t.run_group_id AND g.task_id = t.id WHERE t.id = p_task);
BEGIN
    IF run IS NOT NULL THEN
        PERFORM end_run(run);
        RETURN;
    ELSIF runs IS NOT NULL THEN
        PERFORM end_group(runs);
        RETURN;
    END IF;
    PERFORM FROM broker_message WHERE task_id = p_task FOR UPDATE;
    PERFORM FROM task WHERE id = p_task AND (p_running OR state IN ('PENDING', 'RETRY')) FOR NO KEY UPDATE;
    IF FOUND THEN
        PERFORM end_tasks(ARRAY[p_task], p_reason);
    END IF;
END $$;

-- Removes the waiting messages of a queue. Their tasks end as REVOKED and their runs as cancelled: what was purged must
-- not wait for ever. Returns how many messages there were.
CREATE OR REPLACE FUNCTION purge_queue(p_queue text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    waiting bigint[] := ARRAY(SELECT m.id FROM broker_message m WHERE m.queue = p_queue AND is_waiting(m));
    tasks text[];
    run uuid;
BEGIN
    FOR run IN
        SELECT DISTINCT t.test_run_id FROM broker_message m JOIN task t ON t.id = m.task_id
        WHERE m.id = ANY (waiting) AND t.test_run_id IS NOT NULL ORDER BY 1
    LOOP
        PERFORM end_run(run);
    END LOOP;
    WITH gone AS (
        DELETE FROM broker_message m WHERE m.id = ANY (waiting) AND is_waiting(m) RETURNING m.task_id
    )
    SELECT array_agg(g.task_id) INTO tasks FROM gone g WHERE g.task_id IS NOT NULL;
    PERFORM end_tasks(tasks, 'The queue was purged.');
    RETURN cardinality(waiting);
END $$;

-- ---------------------------------------------------------------- for callers: their own, and nobody else's
CREATE OR REPLACE FUNCTION cancel_run(p_run uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT end_run(id) FROM test_run WHERE id = p_run AND organization_id = current_organization()
$$;

CREATE OR REPLACE FUNCTION cancel_task(p_task text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT end_task(id, true, 'The task was cancelled.') FROM task
    WHERE id = p_task AND organization_id = current_organization()
$$;

-- Ends tasks that no run and no group has; what is another organization's, or a run's, is left alone. Returns how many
-- had not ended before.
CREATE OR REPLACE FUNCTION cancel_tasks(p_tasks text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    own text[] := ARRAY(
        SELECT id FROM task
        WHERE id = ANY (p_tasks) AND organization_id = current_organization()
          AND test_run_id IS NULL AND run_group_id IS NULL);
BEGIN
    PERFORM FROM broker_message WHERE task_id = ANY (own) ORDER BY id FOR UPDATE;
    RETURN (SELECT count(*) FROM end_tasks(own, 'The task was cancelled.'));
END $$;

-- ---------------------------------------------------------------- for operators: across tenants
CREATE OR REPLACE FUNCTION admin_end_task(p_task text, p_running boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT end_task(p_task, p_running, CASE WHEN p_running THEN 'The task was terminated.' ELSE 'The task was revoked.' END)
$$;

CREATE OR REPLACE FUNCTION admin_end_run(p_run uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT end_run(p_run)
$$;

CREATE OR REPLACE FUNCTION admin_workers(p_dead_after interval)
RETURNS TABLE (node text, pid integer, started_at timestamptz, seen_at timestamptz, is_alive boolean, pool text,
               concurrency integer, queues text[], active integer, reserved integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT w.node, w.pid, w.started_at, w.at, w.at > now() - p_dead_after, w.pool, w.concurrency, w.queues,
           (SELECT count(*) FILTER (WHERE a->>'started_at' IS NOT NULL) FROM jsonb_array_elements(w.tasks) AS a)::integer,
           (SELECT count(*) FILTER (WHERE a->>'started_at' IS NULL) FROM jsonb_array_elements(w.tasks) AS a)::integer
    FROM worker_heartbeat w
$$;

-- What live workers are executing.
CREATE OR REPLACE FUNCTION admin_active_tasks(p_dead_after interval)
RETURNS TABLE (task_id text, name text, organization_id uuid, organization text, status text, test_run_id uuid,
               node text, pid integer, started_at timestamptz, age_seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT a.id, a.name, o.id, o.name, t.state, t.test_run_id, w.node, a.pid, a.started_at,
           greatest(extract(epoch FROM now() - a.started_at), 0)::double precision
    FROM worker_heartbeat w
    CROSS JOIN LATERAL jsonb_to_recordset(w.tasks) AS a(id text, name text, started_at timestamptz, pid integer)
    LEFT JOIN task t ON t.id = a.id
    LEFT JOIN organization o ON o.id = t.organization_id
    WHERE a.started_at IS NOT NULL AND w.at > now() - p_dead_after
$$;

CREATE OR REPLACE FUNCTION admin_task(p_task text)
RETURNS TABLE (task_id text, name text, organization_id uuid, status text, test_run_id uuid, queue text, worker text,
               created_at timestamptz, started_at timestamptz, finished_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT id, name, organization_id, state, test_run_id, queue, worker, created_at, started_at, finished_at
    FROM task WHERE id = p_task
$$;

CREATE OR REPLACE FUNCTION admin_run(p_run uuid)
RETURNS TABLE (test_run_id uuid, organization_id uuid, status text, task_id text, cancel_requested_at timestamptz,
               created_at timestamptz, started_at timestamptz, finished_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT id, organization_id, status, task_id, cancel_requested_at, created_at, started_at, finished_at
    FROM test_run WHERE id = p_run
$$;

-- The queues of tasks, not those by which nodes are reached. p_most organizations of each are listed, the fullest first.
CREATE OR REPLACE FUNCTION admin_queues(p_dead_after interval, p_most integer)
RETURNS TABLE (queue text, ready bigint, delayed bigint, leased bigint, oldest_ready_at timestamptz, consumers bigint,
               organization_count bigint, organizations jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH depth AS (
        SELECT m.queue, m.organization_id,
               count(*) FILTER (WHERE is_waiting(m) AND (m.visible_at <= now() OR m.leased_by IS NOT NULL)) AS ready,
               count(*) FILTER (WHERE m.leased_by IS NULL AND m.visible_at > now()) AS delayed,
               count(*) FILTER (WHERE NOT is_waiting(m)) AS leased,
               min(m.created_at) FILTER (WHERE is_waiting(m) AND (m.visible_at <= now() OR m.leased_by IS NOT NULL))
                   AS oldest
        FROM broker_message m GROUP BY m.queue, m.organization_id
    ), ranked AS (
        SELECT d.*, o.name, row_number() OVER (
            PARTITION BY d.queue ORDER BY d.ready + d.delayed + d.leased DESC, d.organization_id) AS place
        FROM depth d LEFT JOIN organization o ON o.id = d.organization_id
    ), consumer AS (
        SELECT q.queue, count(*) AS nodes FROM worker_heartbeat w CROSS JOIN LATERAL unnest(w.queues) AS q(queue)
        WHERE w.at > now() - p_dead_after GROUP BY q.queue
    ), known AS (
        SELECT d.queue FROM depth d UNION SELECT c.queue FROM consumer c
        EXCEPT SELECT b.queue FROM broker_binding b WHERE b.alive_at IS NOT NULL
    )
    SELECT k.queue, coalesce(sum(r.ready), 0)::bigint, coalesce(sum(r.delayed), 0)::bigint,
           coalesce(sum(r.leased), 0)::bigint, min(r.oldest), coalesce(max(c.nodes), 0), count(r.organization_id),
           coalesce(jsonb_agg(jsonb_build_object(
               'organization_id', NULLIF(r.organization_id, '00000000-0000-0000-0000-000000000000'),
               'organization', r.name, 'ready', r.ready, 'delayed', r.delayed, 'leased', r.leased)
               ORDER BY r.place) FILTER (WHERE r.place <= p_most), '[]')
    FROM known k LEFT JOIN ranked r ON r.queue = k.queue LEFT JOIN consumer c ON c.queue = k.queue
    GROUP BY k.queue
$$;

-- ---------------------------------------------------------------- for workers
-- Keeps a worker's row, and answers which of its tasks it has to stop: those that were ended while it held them. A run
-- is not stopped by killing its process, nor is a group; its lanes see that it was cancelled.
CREATE OR REPLACE FUNCTION worker_report(
    p_node text, p_pid integer, p_started_at timestamptz, p_pool text, p_concurrency integer, p_queues text[],
    p_tasks jsonb
) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO worker_heartbeat (node, pid, started_at, pool, concurrency, queues, tasks, at)
    VALUES (p_node, p_pid, p_started_at, p_pool, p_concurrency, p_queues, p_tasks, now())
    ON CONFLICT (node) DO UPDATE SET
        pid = EXCLUDED.pid, started_at = EXCLUDED.started_at, pool = EXCLUDED.pool, concurrency = EXCLUDED.concurrency,
        queues = EXCLUDED.queues, tasks = EXCLUDED.tasks, at = EXCLUDED.at;
    SELECT t.id FROM jsonb_array_elements(p_tasks) AS a JOIN task t ON t.id = a->>'id'
    WHERE t.state = 'REVOKED'
      AND NOT EXISTS (SELECT FROM test_run r WHERE r.id = t.test_run_id AND r.task_id = t.id)
      AND NOT EXISTS (SELECT FROM run_group g WHERE g.id = t.run_group_id AND g.task_id = t.id)
$$;

CREATE OR REPLACE FUNCTION worker_left(p_node text, p_started_at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    DELETE FROM worker_heartbeat WHERE node = p_node AND started_at = p_started_at
$$;

-- ---------------------------------------------------------------- for metrics
-- What is in each queue of tasks, from indexes alone where the table was vacuumed: looked at every few seconds, however
-- long the queues are. `held` has all messages with a lease that has not ended, those that another broker has, too.
CREATE OR REPLACE FUNCTION queue_backlog()
RETURNS TABLE (queue text, ready bigint, delayed bigint, leased bigint, published bigint, ready_since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH every AS (
        SELECT m.queue, count(*) AS messages, count(*) FILTER (WHERE m.visible_at > now()) AS hidden,
               min(m.visible_at) FILTER (WHERE m.visible_at <= now()) AS ready_since
        FROM broker_message m GROUP BY m.queue
    ), held AS (
        SELECT m.queue, count(*) FILTER (WHERE m.published_at IS NULL) AS leased,
               count(m.published_at) AS published
        FROM broker_message m WHERE m.leased_by IS NOT NULL AND m.visible_at > now() GROUP BY m.queue
    )
    SELECT e.queue, e.messages - e.hidden, e.hidden - coalesce(h.leased + h.published, 0), coalesce(h.leased, 0),
           coalesce(h.published, 0), e.ready_since
    FROM every e LEFT JOIN held h ON h.queue = e.queue
    WHERE NOT EXISTS (SELECT FROM broker_binding b WHERE b.queue = e.queue AND b.alive_at IS NOT NULL)
$$;

-- What is open and who is there, of all organizations in one row.
CREATE OR REPLACE FUNCTION open_work(p_dead_after interval)
RETURNS TABLE (tasks bigint, runs bigint, tests bigint, overdue_since timestamptz, workers bigint, swept_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT (SELECT count(*) FROM task WHERE finished_at IS NULL), r.runs, r.tests, r.overdue_since,
           (SELECT count(*) FROM worker_heartbeat WHERE at > now() - p_dead_after),
           (SELECT max(s.swept_at) FROM sweep_step s)
    FROM (SELECT count(*) AS runs, coalesce(sum(pending), 0)::bigint AS tests,
                 min(deadline_at) FILTER (WHERE deadline_at < now()) AS overdue_since
          FROM test_run WHERE finished_at IS NULL) AS r
$$;
