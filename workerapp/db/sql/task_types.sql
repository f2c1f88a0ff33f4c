-- Task types: what workers report of the tasks that they have, and what the gateway knows of them.

-- Takes note that these are there, and forgets what no worker has reported for p_age. While no worker reports, nothing is
-- forgotten: a deployment that restarts its only worker has its types meanwhile. Workers report the same again and again;
-- a row is written anew only once in a while.
CREATE OR REPLACE FUNCTION report_task_types(p_types jsonb, p_age interval) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO task_type AS t (name, hash, description, queue, arguments)
    SELECT r.name, md5(jsonb_build_array(r.description, r.queue, r.arguments)::text), r.description, r.queue, r.arguments
    FROM jsonb_to_recordset(p_types) AS r(name text, description text, queue text, arguments jsonb)
    ORDER BY r.name
    ON CONFLICT (name, hash) DO UPDATE SET reported_at = clock_timestamp()
    WHERE t.reported_at < clock_timestamp() - p_age / 10;
    DELETE FROM task_type WHERE reported_at < clock_timestamp() - p_age;
$$;

-- The version of each that came last, as an old and a new one are there while workers are replaced.
CREATE OR REPLACE FUNCTION task_types()
RETURNS TABLE (name text, hash text, description text, queue text, arguments jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT DISTINCT ON (t.name) t.name, t.hash, t.description, t.queue, t.arguments FROM task_type t
    ORDER BY t.name, t.first_reported_at DESC, t.hash
$$;

-- Whether a worker that reports, and so has told its tasks, consumes the queue. While none has told any, those that report
-- are of the version before, which does not tell: in the middle of an upgrade nothing is refused for that.
CREATE OR REPLACE FUNCTION is_queue_served(p_queue text, p_dead_after interval) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT EXISTS (SELECT FROM worker_heartbeat WHERE p_queue = ANY (queues) AND at > now() - p_dead_after)
        AND EXISTS (SELECT FROM task_type)
$$;
