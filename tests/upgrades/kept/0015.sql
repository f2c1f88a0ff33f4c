SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA gateway;
ALTER SCHEMA gateway OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.admin_active_tasks(p_dead_after interval) RETURNS TABLE(task_id text, name text, organization_id uuid, organization text, status text, test_run_id uuid, node text, pid integer, started_at timestamp with time zone, age_seconds double precision)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT a.id, a.name, o.id, o.name, t.state, t.test_run_id, w.node, a.pid, a.started_at,
           greatest(extract(epoch FROM now() - a.started_at), 0)::double precision
    FROM worker_heartbeat w
    CROSS JOIN LATERAL jsonb_to_recordset(w.tasks) AS a(id text, name text, started_at timestamptz, pid integer)
    LEFT JOIN task t ON t.id = a.id
    LEFT JOIN organization o ON o.id = t.organization_id
    WHERE a.started_at IS NOT NULL AND w.at > now() - p_dead_after
$$;
ALTER FUNCTION gateway.admin_active_tasks(p_dead_after interval) OWNER TO definer;
CREATE FUNCTION gateway.admin_change_organization(p_organization uuid, p_name text, p_plan text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
BEGIN
    UPDATE organization SET name = coalesce(p_name, name), plan = coalesce(p_plan, plan) WHERE id = p_organization;
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;
ALTER FUNCTION gateway.admin_change_organization(p_organization uuid, p_name text, p_plan text) OWNER TO definer;
CREATE FUNCTION gateway.admin_create_organization(p_name text) RETURNS uuid
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    INSERT INTO organization (name) VALUES (p_name) ON CONFLICT (name) DO NOTHING RETURNING id
$$;
ALTER FUNCTION gateway.admin_create_organization(p_name text) OWNER TO definer;
CREATE FUNCTION gateway.admin_end_run(p_run uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT end_run(p_run)
$$;
ALTER FUNCTION gateway.admin_end_run(p_run uuid) OWNER TO definer;
CREATE FUNCTION gateway.admin_end_task(p_task text, p_running boolean) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT end_task(p_task, p_running, CASE WHEN p_running THEN 'The task was terminated.' ELSE 'The task was revoked.' END)
$$;
ALTER FUNCTION gateway.admin_end_task(p_task text, p_running boolean) OWNER TO definer;
CREATE FUNCTION gateway.admin_note_audit(p_organization uuid, p_action text, p_resource_id text, p_details jsonb, p_key uuid, p_user uuid, p_subject text, p_request text, p_client text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    INSERT INTO audit_event (organization_id, actor, key_id, user_id, subject, action, resource_type, resource_id,
                             request_id, client, details)
    VALUES (p_organization, 'operator', p_key, p_user,
            coalesce(p_subject, CASE WHEN p_key IS NULL THEN session_user::text END), p_action,
            split_part(p_action, '.', 1), p_resource_id, p_request, p_client, p_details)
$$;
ALTER FUNCTION gateway.admin_note_audit(p_organization uuid, p_action text, p_resource_id text, p_details jsonb, p_key uuid, p_user uuid, p_subject text, p_request text, p_client text) OWNER TO definer;
CREATE FUNCTION gateway.admin_organization(p_organization uuid) RETURNS TABLE(id uuid, name text, plan text, created_at timestamp with time zone, users bigint, live_keys bigint, test_runs bigint, open_test_runs bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT o.id, o.name, o.plan, o.created_at,
           (SELECT count(*) FROM app_user u WHERE u.organization_id = o.id),
           (SELECT count(*) FROM api_key k WHERE k.organization_id = o.id AND is_live_key(k)),
           r.total, r.open
    FROM organization o CROSS JOIN LATERAL (
        SELECT count(*) AS total, count(*) FILTER (WHERE t.finished_at IS NULL) AS open
        FROM test_run t WHERE t.organization_id = o.id
    ) AS r
    WHERE o.id = p_organization
$$;
ALTER FUNCTION gateway.admin_organization(p_organization uuid) OWNER TO definer;
CREATE FUNCTION gateway.admin_organizations(p_after text, p_most integer) RETURNS TABLE(id uuid, name text, plan text, created_at timestamp with time zone, users bigint, live_keys bigint, test_runs bigint, open_test_runs bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT found.* FROM (
        SELECT o.id, o.name FROM organization o WHERE o.name > p_after ORDER BY o.name LIMIT p_most
    ) AS page CROSS JOIN LATERAL admin_organization(page.id) AS found
    ORDER BY page.name
$$;
ALTER FUNCTION gateway.admin_organizations(p_after text, p_most integer) OWNER TO definer;
CREATE FUNCTION gateway.admin_queues(p_dead_after interval, p_most integer) RETURNS TABLE(queue text, ready bigint, delayed bigint, leased bigint, oldest_ready_at timestamp with time zone, consumers bigint, organization_count bigint, organizations jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.admin_queues(p_dead_after interval, p_most integer) OWNER TO definer;
CREATE FUNCTION gateway.admin_run(p_run uuid) RETURNS TABLE(test_run_id uuid, organization_id uuid, status text, task_id text, cancel_requested_at timestamp with time zone, created_at timestamp with time zone, started_at timestamp with time zone, finished_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT id, organization_id, status, task_id, cancel_requested_at, created_at, started_at, finished_at
    FROM test_run WHERE id = p_run
$$;
ALTER FUNCTION gateway.admin_run(p_run uuid) OWNER TO definer;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE gateway.sweep_step (
    step text NOT NULL,
    node text NOT NULL,
    swept_at timestamp with time zone NOT NULL,
    seconds double precision NOT NULL,
    done bigint NOT NULL,
    done_in_all bigint NOT NULL,
    done_at timestamp with time zone,
    failed_at timestamp with time zone,
    error text
);
ALTER TABLE gateway.sweep_step OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.admin_sweeper() RETURNS SETOF gateway.sweep_step
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT * FROM sweep_step
$$;
ALTER FUNCTION gateway.admin_sweeper() OWNER TO definer;
CREATE FUNCTION gateway.admin_task(p_task text) RETURNS TABLE(task_id text, name text, organization_id uuid, status text, test_run_id uuid, queue text, worker text, created_at timestamp with time zone, started_at timestamp with time zone, finished_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT id, name, organization_id, state, test_run_id, queue, worker, created_at, started_at, finished_at
    FROM task WHERE id = p_task
$$;
ALTER FUNCTION gateway.admin_task(p_task text) OWNER TO definer;
CREATE FUNCTION gateway.admin_workers(p_dead_after interval) RETURNS TABLE(node text, pid integer, started_at timestamp with time zone, seen_at timestamp with time zone, is_alive boolean, pool text, concurrency integer, queues text[], active integer, reserved integer)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT w.node, w.pid, w.started_at, w.at, w.at > now() - p_dead_after, w.pool, w.concurrency, w.queues,
           (SELECT count(*) FILTER (WHERE a->>'started_at' IS NOT NULL) FROM jsonb_array_elements(w.tasks) AS a)::integer,
           (SELECT count(*) FILTER (WHERE a->>'started_at' IS NULL) FROM jsonb_array_elements(w.tasks) AS a)::integer
    FROM worker_heartbeat w
$$;
ALTER FUNCTION gateway.admin_workers(p_dead_after interval) OWNER TO definer;
CREATE FUNCTION gateway.adopted_error(p_content jsonb, p_problem text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN p_problem IS NOT NULL THEN jsonb_build_object(
            'exc_type', 'NotRead', 'exc_message', jsonb_build_array('The error is ' || p_problem || '.'))
        WHEN jsonb_typeof(p_content) = 'object' AND p_content ? 'exc_type' THEN p_content
        WHEN p_content IS NOT NULL THEN jsonb_build_object(
            'exc_type', 'Exception', 'exc_message', jsonb_build_array(p_content #>> '{}'))
    END
$$;
ALTER FUNCTION gateway.adopted_error(p_content jsonb, p_problem text) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.uuid7() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;
ALTER FUNCTION gateway.uuid7() OWNER TO CURRENT_USER;
CREATE TABLE gateway.test (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    test_set_id uuid NOT NULL,
    "position" integer NOT NULL,
    input jsonb NOT NULL,
    expected jsonb,
    assertions jsonb DEFAULT '[]'::jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    turns jsonb,
    CONSTRAINT test_asks_one_thing CHECK (((input = 'null'::jsonb) = (turns IS NOT NULL)))
);
ALTER TABLE ONLY gateway.test FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.test OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.asked_by(t gateway.test) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $_$
    SELECT coalesce(jsonb_path_query_array(t.turns, '$[*].input'), t.input)
$_$;
ALTER FUNCTION gateway.asked_by(t gateway.test) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.begin_chord(p_group text, p_organization uuid, p_body jsonb, p_header jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    INSERT INTO chord (group_id, organization_id, body, header) VALUES (p_group, p_organization, p_body, p_header)
    ON CONFLICT (group_id) DO UPDATE SET
        organization_id = coalesce(chord.organization_id, EXCLUDED.organization_id),
        body = coalesce(EXCLUDED.body, chord.body),
        header = coalesce(EXCLUDED.header, chord.header)
    WHERE chord.organization_id IS NULL OR chord.organization_id = EXCLUDED.organization_id
$$;
ALTER FUNCTION gateway.begin_chord(p_group text, p_organization uuid, p_body jsonb, p_header jsonb) OWNER TO definer;
CREATE FUNCTION gateway.begin_task(p_task text, p_message bigint, p_redelivered boolean, p_max integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    now_state text;
    is_first boolean;
    times integer;
BEGIN
    SELECT state INTO now_state FROM task WHERE id = p_task;
    DELETE FROM broker_message WHERE id = p_message AND task_id = p_task;
    is_first := FOUND;
    IF now_state = 'REVOKED' OR (NOT is_first AND (now_state = 'SUCCESS' OR NOT p_redelivered)) THEN
        RETURN 'skip';
    END IF;
    -- From here until it says so itself nothing else would tell that somebody is at work.
    UPDATE task SET started_at = clock_timestamp(), begun = CASE WHEN is_first THEN 1 ELSE begun + 1 END
    WHERE id = p_task AND NOT is_final_state(state) RETURNING begun INTO times;
    RETURN CASE WHEN times > p_max THEN 'poison' ELSE 'run' END;
END $$;
ALTER FUNCTION gateway.begin_task(p_task text, p_message bigint, p_redelivered boolean, p_max integer) OWNER TO definer;
CREATE FUNCTION gateway.broker_ack(p_ids bigint[], p_lease uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    DELETE FROM broker_message WHERE id = ANY (p_ids) AND leased_by = p_lease
$$;
ALTER FUNCTION gateway.broker_ack(p_ids bigint[], p_lease uuid) OWNER TO definer;
CREATE FUNCTION gateway.broker_bind(p_exchange text, p_type text, p_routing_key text, p_pattern text, p_queue text, p_temporary boolean) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    INSERT INTO broker_binding (exchange, exchange_type, routing_key, pattern, queue, alive_at)
    VALUES (p_exchange, p_type, p_routing_key, coalesce(p_pattern, ''), p_queue, CASE WHEN p_temporary THEN now() END)
    ON CONFLICT (exchange, routing_key, queue) DO UPDATE SET
        exchange_type = EXCLUDED.exchange_type, pattern = EXCLUDED.pattern, alive_at = EXCLUDED.alive_at
    WHERE (broker_binding.exchange_type, broker_binding.pattern, broker_binding.alive_at)
        IS DISTINCT FROM (EXCLUDED.exchange_type, EXCLUDED.pattern, EXCLUDED.alive_at)
$$;
ALTER FUNCTION gateway.broker_bind(p_exchange text, p_type text, p_routing_key text, p_pattern text, p_queue text, p_temporary boolean) OWNER TO definer;
CREATE FUNCTION gateway.broker_bindings(p_exchange text) RETURNS TABLE(routing_key text, pattern text, queue text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT routing_key, pattern, queue FROM broker_binding WHERE exchange = p_exchange
$$;
ALTER FUNCTION gateway.broker_bindings(p_exchange text) OWNER TO definer;
CREATE FUNCTION gateway.broker_delete_queue(p_queue text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT broker_purge(p_queue);
    DELETE FROM broker_binding WHERE queue = p_queue;
$$;
ALTER FUNCTION gateway.broker_delete_queue(p_queue text) OWNER TO definer;
CREATE FUNCTION gateway.broker_discard(p_id bigint, p_lease uuid, p_reason text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH gone AS (
        DELETE FROM broker_message WHERE id = p_id AND leased_by = p_lease RETURNING task_id
    )
    UPDATE task SET
        state = 'FAILURE', finished_at = clock_timestamp(),
        error = jsonb_build_object('exc_type', 'PoisonMessage', 'exc_module', 'workerapp.request',
                                   'exc_message', jsonb_build_array(p_reason))
    WHERE id IN (SELECT task_id FROM gone) AND NOT is_final_state(state)
$$;
ALTER FUNCTION gateway.broker_discard(p_id bigint, p_lease uuid, p_reason text) OWNER TO definer;
CREATE FUNCTION gateway.broker_extend(p_ids bigint[], p_lease uuid, p_visibility interval) RETURNS SETOF bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE broker_message SET visible_at = now() + p_visibility
    WHERE id = ANY (p_ids) AND leased_by = p_lease
    RETURNING id
$$;
ALTER FUNCTION gateway.broker_extend(p_ids bigint[], p_lease uuid, p_visibility interval) OWNER TO definer;
CREATE FUNCTION gateway.broker_fetch(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval) RETURNS TABLE(id bigint, queue text, read_count integer, message jsonb)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    q text;
    left_over integer := p_limit;
    got integer;
BEGIN
    FOREACH q IN ARRAY p_queues LOOP
        EXIT WHEN left_over <= 0;
        RETURN QUERY
        WITH RECURSIVE head AS (
            (SELECT m.organization_id, m.rank FROM broker_message m
             WHERE m.queue = q ORDER BY m.organization_id, m.rank LIMIT 1)
            UNION ALL
            SELECT n.organization_id, n.rank FROM head h CROSS JOIN LATERAL (
                SELECT m.organization_id, m.rank FROM broker_message m
                WHERE m.queue = q AND (m.organization_id, m.rank) > (h.organization_id, h.rank)
                ORDER BY m.organization_id, m.rank LIMIT 1) n
        ), fair AS (
            -- about what one of them can get, and some to spare for what is just being taken; a worker that got less
            -- than it wanted comes again at once
            SELECT 2 * (left_over / count(*) + 1) + 64 / count(*) AS share FROM head
        ), busy AS (
            SELECT m.organization_id, count(*) AS messages FROM broker_message m
            WHERE m.queue = q AND m.leased_by IS NOT NULL AND m.visible_at > now()
            GROUP BY m.organization_id
        ), candidate AS (
            SELECT c.id, c.visible_at,
                   coalesce(b.messages, 0)
                       + row_number() OVER (PARTITION BY h.organization_id ORDER BY h.rank, c.visible_at, c.id) AS turn
            FROM head h LEFT JOIN busy b ON b.organization_id = h.organization_id
            CROSS JOIN LATERAL (
                SELECT m.id, m.visible_at FROM broker_message m
                WHERE m.queue = q AND m.organization_id = h.organization_id AND m.rank = h.rank
                  AND m.visible_at <= now() AND (m.expires_at IS NULL OR m.expires_at > now())
                ORDER BY m.visible_at, m.id LIMIT (SELECT share FROM fair)) c
        ), chosen AS (
            -- one after the other, in this order, until there are enough; what others are just taking is skipped
            SELECT free.id, c.turn FROM (SELECT * FROM candidate ORDER BY turn, visible_at, id) c
            CROSS JOIN LATERAL (
                SELECT m.id FROM broker_message m WHERE m.id = c.id AND m.visible_at <= now()
                FOR UPDATE SKIP LOCKED) free
            LIMIT left_over
        ), leased AS (
            UPDATE broker_message m SET
                leased_by = p_lease, visible_at = now() + p_visibility, read_count = m.read_count + 1
            FROM chosen WHERE m.id = chosen.id
            RETURNING m.id, m.read_count, m.message, chosen.turn
        )
        SELECT l.id, q, l.read_count, l.message FROM leased l ORDER BY l.turn, l.id;
        GET DIAGNOSTICS got = ROW_COUNT;
        left_over := left_over - got;
    END LOOP;
END $$;
ALTER FUNCTION gateway.broker_fetch(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval) OWNER TO definer;
CREATE FUNCTION gateway.broker_publish(p_queue text, p_message jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    headers jsonb := p_message->'headers';
    owner uuid := NULLIF(headers->>'organization_id', '')::uuid;
    task_id text := CASE WHEN headers->>'task' IS NOT NULL THEN headers->>'id' END;
    ttl double precision := (p_message->'properties'->>'expiration')::double precision;
    message_id bigint;
BEGIN
    IF owner IS DISTINCT FROM current_organization()
       AND (current_organization() IS NOT NULL OR serving_role() = 'gateway_rw') THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'a message can only be published for the organization of the transaction';
    END IF;
    IF task_id IS NOT NULL AND owner IS NOT NULL THEN
        PERFORM register_task(owner, p_queue, headers);
    END IF;
    INSERT INTO broker_message (queue, organization_id, rank, visible_at, expires_at, task_id, message)
    VALUES (
        p_queue,
        coalesce(owner, '00000000-0000-0000-0000-000000000000'),
        9 - least(greatest(coalesce((p_message->'properties'->>'priority')::integer, 0), 0), 9),
        coalesce((headers->>'eta')::timestamptz, clock_timestamp()),
        CASE WHEN task_id IS NULL THEN clock_timestamp() + make_interval(secs => ttl / 1000) END,
        task_id,
        p_message)
    RETURNING id INTO message_id;
    RETURN message_id;
END $$;
ALTER FUNCTION gateway.broker_publish(p_queue text, p_message jsonb) OWNER TO definer;
CREATE FUNCTION gateway.broker_purge(p_queue text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT purge_queue(p_queue)
$$;
ALTER FUNCTION gateway.broker_purge(p_queue text) OWNER TO definer;
CREATE FUNCTION gateway.broker_queue_exists(p_queue text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT EXISTS (SELECT FROM broker_binding WHERE queue = p_queue)
        OR EXISTS (SELECT FROM broker_message WHERE queue = p_queue)
$$;
ALTER FUNCTION gateway.broker_queue_exists(p_queue text) OWNER TO definer;
CREATE FUNCTION gateway.broker_release(p_ids bigint[], p_lease uuid, p_unread boolean) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE broker_message SET
        leased_by = NULL, visible_at = CASE WHEN p_unread THEN created_at ELSE clock_timestamp() END,
        read_count = CASE WHEN p_unread THEN greatest(read_count - 1, 0) ELSE read_count END
    WHERE id = ANY (p_ids) AND leased_by = p_lease
$$;
ALTER FUNCTION gateway.broker_release(p_ids bigint[], p_lease uuid, p_unread boolean) OWNER TO definer;
CREATE FUNCTION gateway.broker_route(p_exchange text, p_routing_key text, p_message jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    target record;
    copies integer := 0;
    ephemeral jsonb;
BEGIN
    FOR target IN
        SELECT b.queue, bool_and(b.alive_at IS NOT NULL) AS temporary FROM broker_binding b
        WHERE b.exchange = p_exchange AND CASE b.exchange_type
            WHEN 'fanout' THEN true
            WHEN 'topic' THEN p_routing_key ~ b.pattern
            ELSE b.routing_key = p_routing_key END
        GROUP BY b.queue
    LOOP
        IF target.temporary AND ephemeral IS NULL THEN
            ephemeral := jsonb_set(p_message, '{properties,expiration}',
                                   coalesce(p_message->'properties'->'expiration', '"300000"'));
        END IF;
        PERFORM broker_publish(target.queue, CASE WHEN target.temporary THEN ephemeral ELSE p_message END);
        copies := copies + 1;
    END LOOP;
    RETURN copies;
END $$;
ALTER FUNCTION gateway.broker_route(p_exchange text, p_routing_key text, p_message jsonb) OWNER TO definer;
CREATE FUNCTION gateway.broker_size(p_queue text) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT count(*) FROM broker_message WHERE queue = p_queue AND (leased_by IS NULL OR visible_at <= now())
$$;
ALTER FUNCTION gateway.broker_size(p_queue text) OWNER TO definer;
CREATE FUNCTION gateway.broker_sweep(p_age interval) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT broker_delete_queue(queue) FROM (
        SELECT DISTINCT queue FROM broker_binding WHERE alive_at < now() - p_age) dead;
    DELETE FROM broker_message WHERE expires_at < now();
$$;
ALTER FUNCTION gateway.broker_sweep(p_age interval) OWNER TO definer;
CREATE FUNCTION gateway.broker_touch(p_queues text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE broker_binding SET alive_at = now() WHERE queue = ANY (p_queues) AND alive_at IS NOT NULL
$$;
ALTER FUNCTION gateway.broker_touch(p_queues text[]) OWNER TO definer;
CREATE FUNCTION gateway.broker_turn(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval, p_acked bigint[]) RETURNS TABLE(id bigint, queue text, read_count integer, message jsonb)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
BEGIN
    IF cardinality(p_acked) > 0 THEN
        DELETE FROM broker_message m WHERE m.id = ANY (p_acked) AND m.leased_by = p_lease;
    END IF;
    RETURN QUERY SELECT * FROM broker_fetch(p_queues, p_limit, p_lease, p_visibility);
END $$;
ALTER FUNCTION gateway.broker_turn(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval, p_acked bigint[]) OWNER TO definer;
CREATE FUNCTION gateway.broker_unbind(p_exchange text, p_routing_key text, p_queue text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    DELETE FROM broker_binding WHERE exchange = p_exchange AND routing_key = p_routing_key AND queue = p_queue
$$;
ALTER FUNCTION gateway.broker_unbind(p_exchange text, p_routing_key text, p_queue text) OWNER TO definer;
CREATE FUNCTION gateway.cancel_group(p_group uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT end_group(id) FROM run_group WHERE id = p_group AND organization_id = current_organization()
$$;
ALTER FUNCTION gateway.cancel_group(p_group uuid) OWNER TO definer;
CREATE FUNCTION gateway.cancel_run(p_run uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT end_run(id) FROM test_run WHERE id = p_run AND organization_id = current_organization()
$$;
ALTER FUNCTION gateway.cancel_run(p_run uuid) OWNER TO definer;
CREATE FUNCTION gateway.cancel_task(p_task text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT end_task(id, true, 'The task was cancelled.') FROM task
    WHERE id = p_task AND organization_id = current_organization()
$$;
ALTER FUNCTION gateway.cancel_task(p_task text) OWNER TO definer;
CREATE FUNCTION gateway.compare_group(p_organization uuid, p_group uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH outcome AS MATERIALIZED (
        SELECT * FROM group_outcomes(p_organization, p_group)
    ), changed AS (
        SELECT c.test_run_id, jsonb_object_agg(c.change, c.tests) AS changes
        FROM (SELECT o.test_run_id, o.change, count(*) AS tests FROM outcome o GROUP BY 1, 2) c GROUP BY 1
    ), run AS (
        SELECT r.group_place, jsonb_build_object(
                   'test_run_id', r.id, 'test_configuration_id', r.test_configuration_id, 'status', r.status,
                   'total', r.planned, 'passed', r.passed, 'failed', r.failed, 'errored', r.errored,
                   'cancelled', r.cancelled, 'unscored', r.unscored,
                   'pass_rate', round(r.passed::numeric / NULLIF(r.passed + r.failed + r.errored, 0), 6),
                   'changes', CASE WHEN r.id <> g.baseline_id THEN coalesce(c.changes, '{}') END) AS told
        FROM run_group g JOIN test_run r ON r.run_group_id = g.id LEFT JOIN changed c ON c.test_run_id = r.id
        WHERE g.id = p_group AND g.organization_id = p_organization
    )
    SELECT jsonb_build_object(
        'tests', (SELECT count(DISTINCT o.key) FROM outcome o),
        'differing', (SELECT count(DISTINCT o.key) FROM outcome o WHERE o.differs),
        'runs', (SELECT jsonb_agg(run.told ORDER BY run.group_place) FROM run))
$$;
ALTER FUNCTION gateway.compare_group(p_organization uuid, p_group uuid) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.count_ended_run() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
BEGIN
    UPDATE run_group SET finished = finished + 1 WHERE id = NEW.run_group_id;
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.count_ended_run() OWNER TO definer;
CREATE FUNCTION gateway.count_finished_results() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    SET enable_nestloop TO 'off'
    AS $$
DECLARE
    change record;
    last_seq integer;
BEGIN
    FOR change IN
        SELECT n.test_run_id AS id,
               count(*) AS finished,
               count(*) FILTER (WHERE n.status = 'pass') AS passed,
               count(*) FILTER (WHERE n.status = 'fail') AS failed,
               count(*) FILTER (WHERE n.status = 'error') AS errored,
               count(*) FILTER (WHERE n.status = 'unscored') AS unscored,
               count(*) FILTER (WHERE n.status = 'cancelled') AS cancelled
        FROM new_rows n JOIN old_rows o USING (test_run_id, test_id, repeat)
        WHERE o.status = 'pending' AND n.status <> 'pending'
        GROUP BY n.test_run_id ORDER BY n.test_run_id
    LOOP
        SELECT seq INTO last_seq FROM test_run WHERE id = change.id FOR NO KEY UPDATE;
        INSERT INTO task_event (organization_id, subject_id, seq, type, data)
        SELECT n.organization_id, n.test_run_id::text,
               last_seq + row_number() OVER (ORDER BY n.finished_at, n.repeat, n.position),
               'test_result.finished', test_result_event_data(n.test_run_id, n.test_id, n.repeat, n.position, n.status,
                                                              n.latency_ms, n.attempts, n.http_status, n.error)
        FROM new_rows n JOIN old_rows o USING (test_run_id, test_id, repeat)
        WHERE n.test_run_id = change.id AND o.status = 'pending' AND n.status <> 'pending'
        ORDER BY n.finished_at, n.repeat, n.position;
        UPDATE test_run SET
            seq = last_seq + change.finished,
            pending = pending - change.finished,
            passed = passed + change.passed,
            failed = failed + change.failed,
            errored = errored + change.errored,
            unscored = unscored + change.unscored,
            cancelled = cancelled + change.cancelled
        WHERE id = change.id;
    END LOOP;
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.count_finished_results() OWNER TO definer;
CREATE FUNCTION gateway.create_api_key(p_name text, p_prefix text, p_hash bytea, p_scopes text[], p_expires_at timestamp with time zone, p_user uuid, p_most integer) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    owner constant uuid := current_organization();
    made uuid;
BEGIN
    IF 'admin' = ANY (p_scopes) THEN
        RAISE insufficient_privilege USING MESSAGE = 'keys with the scope admin are made by the owner of the database';
    END IF;
    PERFORM FROM organization WHERE id = owner FOR NO KEY UPDATE;
    IF (SELECT count(*) FROM api_key k WHERE k.organization_id = owner AND is_live_key(k)) < p_most THEN
        INSERT INTO api_key (organization_id, user_id, name, prefix, secret_hash, scopes, expires_at)
        VALUES (owner, p_user, p_name, p_prefix, p_hash, p_scopes, p_expires_at)
        RETURNING id INTO made;
    END IF;
    RETURN made;
END $$;
ALTER FUNCTION gateway.create_api_key(p_name text, p_prefix text, p_hash bytea, p_scopes text[], p_expires_at timestamp with time zone, p_user uuid, p_most integer) OWNER TO definer;
CREATE FUNCTION gateway.current_organization() RETURNS uuid
    LANGUAGE sql STABLE
    AS $$
    SELECT NULLIF(current_setting('app.current_organization', true), '')::uuid
$$;
ALTER FUNCTION gateway.current_organization() OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.delete_group(p_group text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    DELETE FROM chord WHERE group_id = p_group AND body IS NULL AND size IS NULL;
    UPDATE chord SET header = NULL WHERE group_id = p_group AND fired_at IS NOT NULL;
$$;
ALTER FUNCTION gateway.delete_group(p_group text) OWNER TO definer;
CREATE FUNCTION gateway.end_chord_part(p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text, p_name text, p_worker text, p_retries integer, p_queue text, p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean, p_part integer, p_part_result jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    left_over integer;
    outcome text;
BEGIN
    -- The task before the chord, as everywhere: whoever holds a chord waits for no task of its header.
    PERFORM FROM task WHERE id = p_id FOR NO KEY UPDATE;
    SELECT size - done INTO left_over FROM chord WHERE group_id = p_group FOR UPDATE;
    IF left_over <= 1 THEN
        RETURN 'last';
    END IF;
    outcome := record_task_state(
        p_id, p_organization, p_state, p_result, p_error, p_progress, p_traceback, p_name, p_worker, p_retries,
        p_queue, p_root, p_parent, p_group, p_children, p_existing);
    PERFORM return_chord_part(p_group, p_organization, p_id, p_part, p_state, p_part_result);
    RETURN outcome;
END $$;
ALTER FUNCTION gateway.end_chord_part(p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text, p_name text, p_worker text, p_retries integer, p_queue text, p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean, p_part integer, p_part_result jsonb) OWNER TO definer;
CREATE FUNCTION gateway.end_group(p_group uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    run uuid;
BEGIN
    PERFORM FROM test_run WHERE run_group_id = p_group ORDER BY id FOR NO KEY UPDATE;
    UPDATE run_group SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
    WHERE id = p_group AND finished_at IS NULL
      AND EXISTS (SELECT FROM test_run r WHERE r.run_group_id = p_group AND r.finished_at IS NULL);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM broker_message m USING run_group g
    WHERE g.id = p_group AND m.task_id = g.task_id AND is_waiting(m);
    FOR run IN SELECT id FROM test_run WHERE run_group_id = p_group AND finished_at IS NULL ORDER BY id LOOP
        PERFORM end_run(run);
    END LOOP;
END $$;
ALTER FUNCTION gateway.end_group(p_group uuid) OWNER TO definer;
CREATE FUNCTION gateway.end_group_of_task() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM run_group WHERE id = NEW.run_group_id AND task_id = NEW.id AND finished_at IS NULL) THEN
        RETURN NULL;
    END IF;
    IF NEW.state = 'REVOKED' THEN
        PERFORM end_group(NEW.run_group_id);
        RETURN NULL;
    END IF;
    UPDATE task t SET state = 'FAILURE', error = NEW.error, finished_at = clock_timestamp()
    FROM test_run r
    WHERE r.run_group_id = NEW.run_group_id AND t.id = r.task_id AND NOT t.enqueued AND NOT is_final_state(t.state);
    -- Otherwise the sweeper's: what failed may have been the comparison.
    IF FOUND THEN
        PERFORM settle_group(NEW.run_group_id);
    END IF;
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.end_group_of_task() OWNER TO definer;
CREATE FUNCTION gateway.end_lost_task(p_task text, p_state text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.end_lost_task(p_task text, p_state text, p_reason text) OWNER TO definer;
CREATE FUNCTION gateway.end_run(p_run uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.end_run(p_run uuid) OWNER TO definer;
CREATE FUNCTION gateway.end_run_of_task() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
BEGIN
    UPDATE test_run SET
        status = CASE NEW.state WHEN 'REVOKED' THEN 'cancelled' ELSE 'failed' END,
        reason = coalesce(reason, short_text(task_error_message(NEW.error), 1000), 'The run could not be planned.'),
        finished_at = clock_timestamp()
    WHERE id = NEW.test_run_id AND task_id = NEW.id AND planned IS NULL AND finished_at IS NULL;
    IF NEW.state = 'REVOKED' THEN
        UPDATE test_run SET cancel_requested_at = clock_timestamp()
        WHERE id = NEW.test_run_id AND task_id = NEW.id AND finished_at IS NULL AND cancel_requested_at IS NULL;
    END IF;
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.end_run_of_task() OWNER TO definer;
CREATE FUNCTION gateway.end_task(p_task text, p_running boolean, p_reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.end_task(p_task text, p_running boolean, p_reason text) OWNER TO definer;
CREATE FUNCTION gateway.end_tasks(p_ids text[], p_reason text) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM broker_message WHERE task_id = ANY (p_ids);
    PERFORM FROM task WHERE id = ANY (p_ids) ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY UPDATE task SET state = 'REVOKED', error = revoked_error(p_reason), finished_at = clock_timestamp()
    WHERE id = ANY (p_ids) AND NOT is_final_state(state) RETURNING id;
END $$;
ALTER FUNCTION gateway.end_tasks(p_ids text[], p_reason text) OWNER TO definer;
CREATE FUNCTION gateway.end_webhook_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO task_event (organization_id, subject_id, seq, type, data)
    VALUES (NEW.organization_id, NEW.id::text, NEW.seq, 'webhook_endpoint.disabled', jsonb_strip_nulls(jsonb_build_object(
        'webhook_endpoint_id', NEW.id, 'url', NEW.url, 'description', short_text(NEW.description, 500),
        'reason', NEW.disabled_reason, 'failing_since', NEW.failing_since)));
    UPDATE webhook_delivery SET status = 'skipped', next_attempt_at = NULL, finished_at = now()
    WHERE id IN (SELECT id FROM webhook_delivery
                 WHERE webhook_endpoint_id = NEW.id AND status = 'pending' AND leased_by IS NULL
                 FOR NO KEY UPDATE SKIP LOCKED);
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.end_webhook_endpoint() OWNER TO definer;
CREATE FUNCTION gateway.event_log_state() RETURNS TABLE(epoch bytea, pruned_xid bigint, pruned_id bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT substr(sha256(convert_to(concat_ws('/', l.epoch, system_identifier,
                  left(pg_walfile_name(pg_current_wal_lsn()), 8),
                  (SELECT oid FROM pg_database WHERE datname = current_database()), 'task_event'::regclass::oid), 'UTF8')), 1, 8),
           l.pruned_xid::text::bigint, l.pruned_id
    FROM event_log l CROSS JOIN pg_control_system()
$$;
ALTER FUNCTION gateway.event_log_state() OWNER TO definer;
CREATE TABLE gateway.test_run (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    test_configuration_id uuid NOT NULL,
    run_group_id uuid,
    task_id text NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    seq integer DEFAULT 1 NOT NULL,
    planned integer,
    pending integer DEFAULT 0 NOT NULL,
    passed integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    errored integer DEFAULT 0 NOT NULL,
    cancelled integer DEFAULT 0 NOT NULL,
    unscored integer DEFAULT 0 NOT NULL,
    snapshot jsonb,
    reason text,
    rerun_of uuid,
    rescore_of uuid,
    callback_url text,
    created_by uuid,
    cancel_requested_at timestamp with time zone,
    deadline_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    group_place integer,
    planning boolean DEFAULT false NOT NULL,
    expected integer DEFAULT 0 NOT NULL,
    callback_endpoint_id uuid,
    CONSTRAINT test_run_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'completed'::text, 'partial'::text, 'failed'::text, 'cancelled'::text])))
);
ALTER TABLE ONLY gateway.test_run FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.test_run OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.failed_too_often(run gateway.test_run) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(run.failed + run.errored >= (run.snapshot #>> '{configuration,max_failures}')::integer, false)
$$;
ALTER FUNCTION gateway.failed_too_often(run gateway.test_run) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.fair_share(p_endpoint uuid, p_holder uuid, p_most integer, p_turn interval) RETURNS integer
    LANGUAGE plpgsql STABLE
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    asking record;
    users integer;
    places integer := p_most;
    share integer;
BEGIN
    SELECT count(*) INTO users FROM endpoint_share
    WHERE endpoint_id = p_endpoint AND organization_id = current_organization() AND wanted > 0;
    IF users > p_most THEN
        RETURN (SELECT count(*) FROM (
            SELECT holder FROM endpoint_share
            WHERE endpoint_id = p_endpoint AND organization_id = current_organization() AND wanted > 0
            ORDER BY CASE WHEN granted = 0 THEN 1 WHEN since > clock_timestamp() - p_turn THEN 0 ELSE 2 END, since, holder
            LIMIT p_most) first WHERE holder = p_holder);
    END IF;
    FOR asking IN
        SELECT holder, wanted FROM endpoint_share
        WHERE endpoint_id = p_endpoint AND organization_id = current_organization() AND wanted > 0
        ORDER BY wanted, holder
    LOOP
        share := least(asking.wanted, places / users);
        IF asking.holder = p_holder THEN
            RETURN share;
        END IF;
        places := places - share;
        users := users - 1;
    END LOOP;
    RETURN 0;
END $$;
ALTER FUNCTION gateway.fair_share(p_endpoint uuid, p_holder uuid, p_most integer, p_turn interval) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.find_api_key(p_hash bytea) RETURNS TABLE(id uuid, organization_id uuid, user_id uuid, scopes text[], expires_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT id, organization_id, user_id, scopes, expires_at FROM api_key
    WHERE secret_hash = p_hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
$$;
ALTER FUNCTION gateway.find_api_key(p_hash bytea) OWNER TO definer;
CREATE FUNCTION gateway.find_api_key_by_id(p_id uuid) RETURNS TABLE(id uuid, organization_id uuid, user_id uuid, scopes text[], expires_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT id, organization_id, user_id, scopes, expires_at FROM api_key
    WHERE id = p_id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
$$;
ALTER FUNCTION gateway.find_api_key_by_id(p_id uuid) OWNER TO definer;
CREATE TABLE gateway.run_group (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    test_set_id uuid,
    name text,
    status text DEFAULT 'queued'::text NOT NULL,
    seq integer DEFAULT 1 NOT NULL,
    task_id text,
    planned integer,
    finished integer DEFAULT 0 NOT NULL,
    callback_url text,
    cancel_requested_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    baseline_id uuid,
    comparison jsonb,
    callback_endpoint_id uuid,
    CONSTRAINT run_group_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'completed'::text, 'partial'::text, 'failed'::text, 'cancelled'::text])))
);
ALTER TABLE ONLY gateway.run_group FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.run_group OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.finish_task_of_group(g gateway.run_group) RETURNS void
    LANGUAGE sql
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE task SET
        state = CASE g.status WHEN 'cancelled' THEN 'REVOKED' ELSE 'SUCCESS' END,
        result = CASE WHEN g.status <> 'cancelled' THEN result_of_group(g) END,
        error = CASE WHEN g.status = 'cancelled' THEN revoked_error('The runs were cancelled.') END,
        finished_at = clock_timestamp()
    WHERE id = g.task_id AND NOT is_final_state(state)
$$;
ALTER FUNCTION gateway.finish_task_of_group(g gateway.run_group) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.finish_task_of_run(run gateway.test_run) RETURNS void
    LANGUAGE sql
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE task SET
        state = CASE run.status WHEN 'cancelled' THEN 'REVOKED' ELSE 'SUCCESS' END,
        result = CASE WHEN run.status <> 'cancelled' THEN jsonb_build_object(
            'test_run_id', run.id, 'status', run.status, 'counts', jsonb_build_object(
                'total', run.planned, 'passed', run.passed, 'failed', run.failed, 'errored', run.errored,
                'cancelled', run.cancelled, 'unscored', run.unscored)) END,
        error = CASE WHEN run.status = 'cancelled' THEN jsonb_build_object(
            'exc_type', 'TaskRevokedError', 'exc_module', 'celery.exceptions',
            'exc_message', jsonb_build_array(run.reason)) END,
        finished_at = clock_timestamp()
    WHERE id = run.task_id AND NOT is_final_state(state)
$$;
ALTER FUNCTION gateway.finish_task_of_run(run gateway.test_run) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.forget_task(p_id text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE task SET result = NULL, error = NULL, traceback = NULL, children = NULL WHERE id = p_id
$$;
ALTER FUNCTION gateway.forget_task(p_id text) OWNER TO definer;
CREATE FUNCTION gateway.group_outcomes(p_organization uuid, p_group uuid) RETURNS TABLE(key uuid, place integer, test_run_id uuid, test_id uuid, "position" integer, repeats bigint, passed bigint, status text, change text, differs boolean)
    LANGUAGE sql STABLE
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH run AS MATERIALIZED (
        SELECT r.id, g.baseline_id, count(r.planned) OVER () AS planned
        FROM run_group g JOIN test_run r ON r.run_group_id = g.id
        WHERE g.id = p_group AND g.organization_id = p_organization
    ), outcome AS MATERIALIZED (
        SELECT coalesce(p.baseline_test_id, p.test_id) AS key, coalesce(p.baseline_position, p.position) AS place,
               run.id, p.test_id, p.position, p.repeats, p.passed, p.status, p.change, run.planned
        FROM run CROSS JOIN LATERAL paired_results(p_organization, run.id, run.baseline_id) p
    ), different AS (
        SELECT o.key, min(o.place) AS place, min(o.status) <> max(o.status) OR count(o.status) < o.planned AS differs
        FROM outcome o GROUP BY o.key, o.planned
    )
    SELECT o.key, d.place, o.id, o.test_id, o.position, o.repeats, o.passed, o.status, o.change, d.differs
    FROM outcome o JOIN different d ON d.key = o.key
$$;
ALTER FUNCTION gateway.group_outcomes(p_organization uuid, p_group uuid) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.groups_in_need(p_grace interval, p_limit integer) RETURNS TABLE(organization_id uuid, run_group_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT g.organization_id, g.id FROM run_group g
    WHERE g.finished_at IS NULL
      AND EXISTS (SELECT FROM test_run r WHERE r.run_group_id = g.id)
      AND NOT EXISTS (
          SELECT FROM test_run r
          WHERE r.run_group_id = g.id AND (r.finished_at IS NULL OR r.finished_at > now() - p_grace))
    ORDER BY g.id LIMIT p_limit
$$;
ALTER FUNCTION gateway.groups_in_need(p_grace interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.grow_chord(p_group text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    INSERT INTO chord (group_id, done) VALUES (p_group, -1)
    ON CONFLICT (group_id) DO UPDATE SET done = chord.done - 1
$$;
ALTER FUNCTION gateway.grow_chord(p_group text) OWNER TO definer;
CREATE FUNCTION gateway.has_live_keys() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT EXISTS (SELECT FROM api_key k WHERE is_live_key(k))
$$;
ALTER FUNCTION gateway.has_live_keys() OWNER TO definer;
CREATE FUNCTION gateway.has_own_types(p_table oid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = p_table AND attnum > 0 AND NOT attisdropped AND atttypid >= 16384)
$$;
ALTER FUNCTION gateway.has_own_types(p_table oid) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.import_adopted_state(p_organization uuid, p_most integer, p_id text, p_state text, p_payload bytea, p_traceback text, p_done timestamp with time zone, p_more jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    SET row_security TO 'on'
    AS $$
DECLARE
    made boolean;
    outcome text;
BEGIN
    INSERT INTO task (id, organization_id, name, queue, created_at)
    SELECT p_id, id, p_more->>'name', p_more->>'queue', coalesce(p_done, now()) FROM organization
    WHERE id = p_organization
    ON CONFLICT (id) DO NOTHING;
    made := FOUND;
    IF NOT made AND NOT is_final_state(p_state) THEN
        RETURN 'known';
    END IF;
    outcome := record_adopted_state(p_organization, p_most, p_id, p_state, p_payload, p_traceback, p_more);
    IF outcome = 'written' AND is_final_state(p_state) THEN
        UPDATE task SET finished_at = coalesce(p_done, finished_at) WHERE id = p_id;
    END IF;
    RETURN outcome;
END $$;
ALTER FUNCTION gateway.import_adopted_state(p_organization uuid, p_most integer, p_id text, p_state text, p_payload bytea, p_traceback text, p_done timestamp with time zone, p_more jsonb) OWNER TO definer;
CREATE FUNCTION gateway.is_final_state(state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT state IN ('SUCCESS', 'FAILURE', 'REVOKED')
$$;
ALTER FUNCTION gateway.is_final_state(state text) OWNER TO CURRENT_USER;
CREATE TABLE gateway.api_key (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    user_id uuid,
    name text NOT NULL,
    prefix text NOT NULL,
    secret_hash bytea NOT NULL,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_key_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT api_key_secret_hash_check CHECK ((length(secret_hash) = 32))
);
ALTER TABLE ONLY gateway.api_key FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.api_key OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.is_live_key(k gateway.api_key) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
$$;
ALTER FUNCTION gateway.is_live_key(k gateway.api_key) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.is_own_state(state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT state NOT IN ('PENDING', 'RECEIVED', 'STARTED', 'RETRY', 'SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED',
                         'IGNORED')
$$;
ALTER FUNCTION gateway.is_own_state(state text) OWNER TO CURRENT_USER;
CREATE TABLE gateway.broker_message (
    id bigint NOT NULL,
    queue text NOT NULL,
    organization_id uuid NOT NULL,
    rank smallint NOT NULL,
    visible_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    read_count integer DEFAULT 0 NOT NULL,
    leased_by uuid,
    published_at timestamp with time zone,
    task_id text,
    message jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');
ALTER TABLE gateway.broker_message OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.is_waiting(m gateway.broker_message) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT m.leased_by IS NULL OR m.visible_at <= now() OR m.published_at IS NOT NULL
$$;
ALTER FUNCTION gateway.is_waiting(m gateway.broker_message) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.keep_audit_event() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('app.prunes_audit_events', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = 'entries of the audit log are not changed, and only retention removes them';
END $$;
ALTER FUNCTION gateway.keep_audit_event() OWNER TO CURRENT_USER;
CREATE TABLE gateway.task_event (
    id bigint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    organization_id uuid NOT NULL,
    subject_id text NOT NULL,
    seq integer NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT task_event_data_check CHECK ((octet_length((data)::text) <= 8192))
);
ALTER TABLE ONLY gateway.task_event FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.task_event OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.late_events(p_xids xid8[], p_from xid8, p_to xid8) RETURNS SETOF gateway.task_event
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    RETURN QUERY SELECT * FROM task_event e
    WHERE e.xid = ANY (p_xids) AND e.organization_id IS NOT DISTINCT FROM current_organization();
    RETURN QUERY SELECT * FROM task_event e
    WHERE e.xid >= p_from AND e.xid < p_to AND e.organization_id IS NOT DISTINCT FROM current_organization();
END $$;
ALTER FUNCTION gateway.late_events(p_xids xid8[], p_from xid8, p_to xid8) OWNER TO definer;
CREATE FUNCTION gateway.lost_chord_bodies(p_grace interval, p_limit integer) RETURNS TABLE(group_id text, organization_id uuid, user_id uuid, test_run_id uuid, size integer)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT c.group_id, coalesce(c.organization_id, member.organization_id), member.user_id, member.test_run_id, c.size
    FROM chord c LEFT JOIN LATERAL (
        SELECT t.organization_id, t.user_id, t.test_run_id FROM task t WHERE t.group_id = c.group_id LIMIT 1) member ON true
    WHERE c.fired_at BETWEEN now() - p_grace - interval '1 hour' AND now() - p_grace
      AND c.done >= c.size AND c.body #>> '{options,task_id}' IS NOT NULL
      AND NOT EXISTS (SELECT FROM broker_message m WHERE m.task_id = c.body #>> '{options,task_id}')
      AND EXISTS (SELECT FROM task t WHERE t.id = c.body #>> '{options,task_id}' AND t.state = 'PENDING')
    ORDER BY c.fired_at LIMIT p_limit
$$;
ALTER FUNCTION gateway.lost_chord_bodies(p_grace interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.lost_chord_parts(p_grace interval, p_limit integer) RETURNS TABLE(group_id text, organization_id uuid, task_id text, state text, error jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT c.group_id, t.organization_id, t.id, t.state, t.error
    FROM chord c JOIN task t ON t.group_id = c.group_id
    WHERE c.fired_at IS NULL AND c.body IS NOT NULL AND c.size IS NOT NULL
      AND t.state IN ('FAILURE', 'REVOKED') AND t.finished_at < now() - p_grace
      AND NOT EXISTS (SELECT FROM chord_part p WHERE p.group_id = c.group_id AND p.task_id = t.id)
    ORDER BY t.finished_at LIMIT p_limit
$$;
ALTER FUNCTION gateway.lost_chord_parts(p_grace interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.lost_tasks(p_dead_after interval, p_grace interval, p_looked integer, p_limit integer) RETURNS TABLE(task_id text, organization_id uuid, name text, state text, worker text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.lost_tasks(p_dead_after interval, p_grace interval, p_looked integer, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.next_xid(p_snapshot pg_snapshot) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
    SELECT xmax + ((age('3'::xid)::bigint + 3 - xmax) & 4294967295)
    FROM (SELECT pg_snapshot_xmax(p_snapshot)::text::bigint AS xmax) snapshot
$$;
ALTER FUNCTION gateway.next_xid(p_snapshot pg_snapshot) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.number_run_group_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.status IS DISTINCT FROM OLD.status OR NEW.finished IS DISTINCT FROM OLD.finished THEN
        NEW.seq := OLD.seq + 1;
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION gateway.number_run_group_change() OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.number_task_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state IS DISTINCT FROM OLD.state OR NEW.progress IS DISTINCT FROM OLD.progress THEN
        NEW.seq := OLD.seq + 1;
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION gateway.number_task_change() OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.number_test_run_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (NEW.status, NEW.pending, NEW.passed, NEW.failed, NEW.errored, NEW.cancelled, NEW.unscored)
        IS DISTINCT FROM
       (OLD.status, OLD.pending, OLD.passed, OLD.failed, OLD.errored, OLD.cancelled, OLD.unscored) THEN
        NEW.seq := NEW.seq + 1;
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION gateway.number_test_run_change() OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.organization_of_name(p_name text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT id FROM organization WHERE name = p_name
$$;
ALTER FUNCTION gateway.organization_of_name(p_name text) OWNER TO definer;
CREATE FUNCTION gateway.outbox_published(p_ids bigint[], p_lease uuid, p_lost interval) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE broker_message SET published_at = now(), visible_at = now() + p_lost
    WHERE id = ANY (p_ids) AND leased_by = p_lease
$$;
ALTER FUNCTION gateway.outbox_published(p_ids bigint[], p_lease uuid, p_lost interval) OWNER TO definer;
CREATE FUNCTION gateway.outbox_take(p_limit integer, p_ahead integer, p_lease uuid, p_lease_time interval) RETURNS TABLE(id bigint, queue text, published boolean, held boolean, message jsonb)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    name text;
    room integer;
    got record;
BEGIN
    FOR name IN
        WITH RECURSIVE names AS (
            (SELECT m.queue FROM broker_message m ORDER BY m.queue LIMIT 1)
            UNION ALL
            SELECT (SELECT m.queue FROM broker_message m WHERE m.queue > n.queue ORDER BY m.queue LIMIT 1)
            FROM names n WHERE n.queue IS NOT NULL)
        -- in any order: a queue that the broker refuses must not always come before another
        SELECT n.queue FROM names n WHERE n.queue IS NOT NULL ORDER BY random()
    LOOP
        EXIT WHEN p_limit <= 0;
        SELECT least(p_limit, p_ahead - count(*)) INTO room FROM broker_message m
        WHERE m.queue = name AND m.leased_by IS NOT NULL AND m.visible_at > now();
        CONTINUE WHEN room <= 0;
        FOR got IN
            SELECT f.id, f.message, m.published_at IS NOT NULL AS published, m.task_id
            FROM broker_fetch(ARRAY[name], room, p_lease, p_lease_time) f JOIN broker_message m ON m.id = f.id
        LOOP
            room := room - 1;
            p_limit := p_limit - 1;
            IF got.published AND EXISTS (SELECT FROM task t WHERE t.id = got.task_id AND is_final_state(t.state)) THEN
                DELETE FROM broker_message m WHERE m.id = got.id;
                CONTINUE;
            END IF;
            RETURN QUERY SELECT got.id, name, got.published, room = 0, got.message;
        END LOOP;
    END LOOP;
END $$;
ALTER FUNCTION gateway.outbox_take(p_limit integer, p_ahead integer, p_lease uuid, p_lease_time interval) OWNER TO definer;
CREATE FUNCTION gateway.paired_results(p_organization uuid, p_run uuid, p_baseline uuid) RETURNS TABLE(test_id uuid, baseline_test_id uuid, "position" integer, baseline_position integer, repeats bigint, baseline_repeats bigint, passed bigint, baseline_passed bigint, status text, baseline_status text, change text)
    LANGUAGE sql STABLE
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH by_test AS MATERIALIZED (
        SELECT r.test_id,
               max(r.position) FILTER (WHERE r.test_run_id = p_run) AS position,
               max(r.position) FILTER (WHERE r.test_run_id = p_baseline) AS baseline_position,
               count(*) FILTER (WHERE r.test_run_id = p_run) AS repeats,
               count(*) FILTER (WHERE r.test_run_id = p_baseline) AS baseline_repeats,
               count(*) FILTER (WHERE r.test_run_id = p_run AND r.status = 'pass') AS passed,
               count(*) FILTER (WHERE r.test_run_id = p_baseline AND r.status = 'pass') AS baseline_passed,
               (worst_first())[min(array_position(worst_first(), r.status)) FILTER (
                   WHERE r.test_run_id = p_run)] AS status,
               (worst_first())[min(array_position(worst_first(), r.status)) FILTER (
                   WHERE r.test_run_id = p_baseline)] AS baseline_status
        FROM test_result r
        WHERE r.test_run_id IN (p_run, p_baseline) AND r.organization_id = p_organization
        GROUP BY r.test_id
    ), alone AS (
        SELECT b.*, asked_by(t) AS asked, row_number() OVER (
                   PARTITION BY b.status IS NULL, asked_by(t) ORDER BY b.position, b.baseline_position) AS nth
        FROM by_test b JOIN test t ON t.id = b.test_id
        WHERE b.status IS NULL OR b.baseline_status IS NULL
    ), pair AS (
        SELECT b.test_id, b.test_id AS baseline_test_id, b.position, b.baseline_position,
               b.repeats, b.baseline_repeats, b.passed, b.baseline_passed, b.status, b.baseline_status
        FROM by_test b WHERE b.status IS NOT NULL AND b.baseline_status IS NOT NULL
        UNION ALL
        SELECT (array_agg(a.test_id) FILTER (WHERE a.status IS NOT NULL))[1],
               (array_agg(a.test_id) FILTER (WHERE a.baseline_status IS NOT NULL))[1],
               max(a.position), max(a.baseline_position), max(a.repeats), max(a.baseline_repeats),
               max(a.passed), max(a.baseline_passed), max(a.status), max(a.baseline_status)
        FROM alone a GROUP BY a.asked, a.nth
    )
    SELECT p.*, CASE WHEN p.baseline_status IS NULL THEN 'only_in_run'
                     WHEN p.status IS NULL THEN 'only_in_baseline'
                     WHEN p.status = p.baseline_status THEN 'unchanged'
                     WHEN p.status = 'pass' THEN 'newly_passing'
                     WHEN p.status = 'fail' AND p.baseline_status = 'pass' THEN 'newly_failing'
                     WHEN p.status = 'error' THEN 'newly_errored'
                     ELSE 'otherwise' END
    FROM pair p
$$;
ALTER FUNCTION gateway.paired_results(p_organization uuid, p_run uuid, p_baseline uuid) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.prune_audit_events(p_age interval, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    removed bigint;
BEGIN
    PERFORM set_config('app.prunes_audit_events', 'on', true);
    DELETE FROM audit_event WHERE id IN (
        SELECT id FROM audit_event WHERE at < now() - p_age ORDER BY at LIMIT p_limit);
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM set_config('app.prunes_audit_events', '', true);
    RETURN removed;
END $$;
ALTER FUNCTION gateway.prune_audit_events(p_age interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.prune_deliveries(p_age interval, p_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH gone AS (
        DELETE FROM webhook_delivery WHERE id IN (
            SELECT id FROM webhook_delivery WHERE finished_at < now() - p_age AND status <> 'pending' LIMIT p_limit)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
ALTER FUNCTION gateway.prune_deliveries(p_age interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.prune_events(p_age interval, p_after bigint, p_limit integer) RETURNS TABLE(removed bigint, last_id bigint)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.prune_events(p_age interval, p_after bigint, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.prune_finished_chords(p_age interval, p_abandoned interval, p_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.prune_finished_chords(p_age interval, p_abandoned interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.prune_finished_tasks(p_age interval, p_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.prune_finished_tasks(p_age interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.prune_idempotency_keys(p_age interval, p_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH gone AS (
        DELETE FROM idempotency_key WHERE (organization_id, key) IN (
            SELECT organization_id, key FROM idempotency_key WHERE created_at < now() - p_age LIMIT p_limit)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
ALTER FUNCTION gateway.prune_idempotency_keys(p_age interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.prune_results(p_age interval, p_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH gone AS (
        DELETE FROM test_result WHERE (test_run_id, test_id, repeat) IN (
            SELECT t.test_run_id, t.test_id, t.repeat FROM test_run r JOIN test_result t ON t.test_run_id = r.id
            WHERE r.finished_at < now() - p_age LIMIT p_limit)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
ALTER FUNCTION gateway.prune_results(p_age interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.prune_runs(p_age interval, p_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.prune_runs(p_age interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.prune_tasks(p_age interval, p_limit integer, p_organization uuid DEFAULT NULL::uuid, p_names text[] DEFAULT NULL::text[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH gone AS (
        DELETE FROM task WHERE id IN (
            SELECT id FROM task
            WHERE finished_at < now() - p_age
              AND (p_organization IS NULL OR organization_id = p_organization)
              AND (p_names IS NULL OR name = ANY (p_names))
            ORDER BY finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
ALTER FUNCTION gateway.prune_tasks(p_age interval, p_limit integer, p_organization uuid, p_names text[]) OWNER TO definer;
CREATE FUNCTION gateway.purge_queue(p_queue text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.purge_queue(p_queue text) OWNER TO definer;
CREATE FUNCTION gateway.queue_webhooks() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    family text := split_part(NEW.type, '.', 1);
    called_back record;
BEGIN
    IF family = 'test_run' THEN
        SELECT callback_endpoint_id AS id, callback_url AS url INTO called_back FROM test_run WHERE id = NEW.subject_id::uuid;
    ELSIF family = 'run_group' THEN
        SELECT callback_endpoint_id AS id, callback_url AS url INTO called_back FROM run_group WHERE id = NEW.subject_id::uuid;
    ELSE
        SELECT NULL::uuid AS id, NULL::text AS url INTO called_back;
    END IF;
    INSERT INTO webhook_delivery (organization_id, webhook_endpoint_id, callback_url, event_type, subject_id, payload,
                                  status, next_attempt_at, finished_at)
    SELECT NEW.organization_id, e.id, CASE WHEN e.kind = 'callback' THEN called_back.url END, NEW.type, NEW.subject_id,
           webhook_payload(NEW.type, NEW.organization_id, NEW.subject_id, NEW.seq, NEW.at, NEW.data),
           CASE WHEN e.disabled_at IS NULL THEN 'pending' ELSE 'skipped' END,
           CASE WHEN e.disabled_at IS NULL THEN now() END, CASE WHEN e.disabled_at IS NOT NULL THEN now() END
    FROM webhook_endpoint e
    WHERE e.organization_id = NEW.organization_id AND e.id::text <> NEW.subject_id
      AND CASE e.kind
          WHEN 'callback' THEN e.id = called_back.id
          ELSE e.event_types && ARRAY[NEW.type, family || '.*', '*']
               AND NOT EXISTS (SELECT FROM task t WHERE family = 'task' AND t.id = NEW.subject_id
                               AND (t.test_run_id IS NOT NULL OR t.run_group_id IS NOT NULL)) END
    ORDER BY e.id FOR KEY SHARE OF e;
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.queue_webhooks() OWNER TO definer;
CREATE FUNCTION gateway.read_adopted_payload(p_payload bytea, p_most integer, OUT content jsonb, OUT problem text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    AS $$
BEGIN
    IF octet_length(p_payload) > p_most THEN
        problem := format('larger than %s bytes and was not copied', p_most);
    ELSIF substring(p_payload FROM 1 FOR 2) IN ('\x8002', '\x8003', '\x8004', '\x8005') THEN
        problem := 'pickled and was not read';
    ELSE
        content := convert_from(p_payload, 'UTF8')::jsonb;
    END IF;
EXCEPTION WHEN OTHERS THEN
    problem := 'not JSON that Postgres can hold and was not read';
END $$;
ALTER FUNCTION gateway.read_adopted_payload(p_payload bytea, p_most integer, OUT content jsonb, OUT problem text) OWNER TO CURRENT_USER;
CREATE TABLE gateway.chord (
    group_id text NOT NULL,
    organization_id uuid,
    size integer,
    done integer DEFAULT 0 NOT NULL,
    body jsonb,
    header jsonb,
    fired_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE gateway.chord OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.read_chord(p_group text) RETURNS SETOF gateway.chord
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT * FROM chord WHERE group_id = p_group
$$;
ALTER FUNCTION gateway.read_chord(p_group text) OWNER TO definer;
CREATE TABLE gateway.chord_part (
    group_id text NOT NULL,
    task_id text NOT NULL,
    part integer NOT NULL,
    state text NOT NULL,
    result jsonb
);
ALTER TABLE gateway.chord_part OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.read_chord_parts(p_group text) RETURNS SETOF gateway.chord_part
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT * FROM chord_part WHERE group_id = p_group ORDER BY part, task_id
$$;
ALTER FUNCTION gateway.read_chord_parts(p_group text) OWNER TO definer;
CREATE TABLE gateway.task (
    id text NOT NULL,
    organization_id uuid NOT NULL,
    user_id uuid,
    name text,
    state text DEFAULT 'PENDING'::text NOT NULL,
    seq integer DEFAULT 1 NOT NULL,
    result jsonb,
    error jsonb,
    traceback text,
    progress jsonb,
    retries integer DEFAULT 0 NOT NULL,
    queue text,
    worker text,
    root_id text,
    parent_id text,
    group_id text,
    children jsonb,
    test_run_id uuid,
    run_group_id uuid,
    begun integer DEFAULT 0 NOT NULL,
    eta timestamp with time zone,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    enqueued boolean DEFAULT false NOT NULL,
    missed_at timestamp with time zone,
    CONSTRAINT task_id_check CHECK (((length(id) >= 1) AND (length(id) <= 255)))
)
WITH (fillfactor='70');
ALTER TABLE ONLY gateway.task FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.task OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.read_tasks(p_ids text[], p_ended boolean) RETURNS SETOF gateway.task
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT * FROM task
    WHERE id = ANY (p_ids) AND (NOT p_ended OR is_final_state(state))
      AND (current_organization() IS NULL OR organization_id = current_organization())
$$;
ALTER FUNCTION gateway.read_tasks(p_ids text[], p_ended boolean) OWNER TO definer;
CREATE FUNCTION gateway.record_adopted_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    SET row_security TO 'on'
    SET lock_timeout TO '3s'
    AS $$
DECLARE
    task_id text;
    payload bytea;
    outcome text;
BEGIN
    IF has_own_types(TG_RELID) THEN
        RAISE LOG 'adopted table %: not recorded, it has a column of a type that is not built in', TG_RELID::regclass;
        RETURN NULL;
    END IF;
    task_id := NEW.task_id;
    -- Celery inserts each row as PENDING and writes the state it means in the same transaction.
    IF NEW.status IS NULL OR (TG_OP = 'INSERT' AND NEW.status = 'PENDING') THEN
        RETURN NULL;
    END IF;
    payload := NEW.result;
    NEW.result := NULL;
    outcome := record_adopted_state(
        TG_ARGV[0]::uuid, TG_ARGV[1]::integer, task_id, NEW.status, payload, NEW.traceback, to_jsonb(NEW));
    IF outcome IN ('refused', 'unknown') THEN
        RAISE LOG 'adopted table %: task % is not recorded: %', TG_RELID::regclass, task_id,
            CASE outcome WHEN 'refused' THEN 'the id is another organization''s' ELSE 'the organization is gone' END;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'adopted table %: task % is not recorded: % (%)', TG_RELID::regclass, task_id, SQLERRM, SQLSTATE;
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.record_adopted_change() OWNER TO definer;
CREATE FUNCTION gateway.record_adopted_state(p_organization uuid, p_most integer, p_id text, p_state text, p_payload bytea, p_traceback text, p_more jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    payload record;
    failed boolean := p_state IN ('FAILURE', 'RETRY', 'REVOKED');
    worker text := p_more->>'worker';
    progress jsonb;
BEGIN
    SELECT * INTO payload FROM read_adopted_payload(p_payload, p_most);
    IF p_state = 'STARTED' AND jsonb_typeof(payload.content) = 'object' THEN
        worker := coalesce(worker, payload.content->>'hostname');
    END IF;
    IF payload.problem IS NOT NULL AND NOT failed THEN
        progress := jsonb_build_object('note', 'The result is ' || payload.problem || '.');
    ELSIF is_own_state(p_state) THEN
        progress := payload.content;
    END IF;
    RETURN record_task_state(
        p_id, p_organization, p_state,
        CASE WHEN p_state = 'SUCCESS' THEN payload.content END,
        CASE WHEN failed THEN adopted_error(payload.content, payload.problem) END,
        progress, right(p_traceback, p_most), p_more->>'name', worker, (p_more->>'retries')::integer, p_more->>'queue',
        NULL, NULL, NULL, NULL, false);
END $$;
ALTER FUNCTION gateway.record_adopted_state(p_organization uuid, p_most integer, p_id text, p_state text, p_payload bytea, p_traceback text, p_more jsonb) OWNER TO definer;
CREATE FUNCTION gateway.record_results(p_run uuid, p_results jsonb) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'gateway', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    goes_on boolean;
BEGIN
    PERFORM FROM test_run WHERE id = p_run FOR NO KEY UPDATE;
    -- By the primary key, whatever the planner believes of a large run that nobody has analyzed yet: of an index on the run
    -- and something else it would read all that is pending for each batch, 38 ms of 100,000 tests in place of 2. So the run
    -- is a column here, and no other index fits. Materialized: row-level security lets no index be used for COALESCE.
    WITH n AS MATERIALIZED (
        SELECT p_run AS run_id, test_id, coalesce(repeat, 1) AS repeat, status, output, scores, latency_ms, attempts,
               http_status, error
        FROM jsonb_to_recordset(p_results) AS given(
            test_id uuid, repeat integer, status text, output jsonb, scores jsonb, latency_ms double precision,
            attempts integer, http_status integer, error jsonb)
    )
    UPDATE test_result r SET
        status = n.status, output = n.output, scores = n.scores, latency_ms = n.latency_ms, attempts = n.attempts,
        http_status = n.http_status, error = n.error, leased_by = NULL, lease_until = NULL,
        finished_at = clock_timestamp()
    FROM n WHERE r.test_run_id = n.run_id AND r.test_id = n.test_id AND r.repeat + 0 = n.repeat
      AND r.finished_at IS NULL;
    SELECT pending > 0 AND NOT failed_too_often(r) INTO goes_on FROM test_run r WHERE id = p_run;
    IF goes_on THEN
        RETURN NULL;
    END IF;
    RETURN settle_run(p_run);
END $$;
ALTER FUNCTION gateway.record_results(p_run uuid, p_results jsonb) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.record_sweep(p_step text, p_node text, p_done bigint, p_seconds double precision, p_error text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    INSERT INTO sweep_step AS s (step, node, swept_at, seconds, done, done_in_all, done_at, failed_at, error)
    VALUES (p_step, p_node, now(), p_seconds, p_done, p_done, CASE WHEN p_done > 0 THEN now() END,
            CASE WHEN p_error IS NOT NULL THEN now() END, short_text(p_error, 500))
    ON CONFLICT (step) DO UPDATE SET
        node = EXCLUDED.node, swept_at = EXCLUDED.swept_at, seconds = EXCLUDED.seconds, done = EXCLUDED.done,
        done_in_all = s.done_in_all + EXCLUDED.done, done_at = coalesce(EXCLUDED.done_at, s.done_at),
        failed_at = coalesce(EXCLUDED.failed_at, s.failed_at), error = coalesce(EXCLUDED.error, s.error)
$$;
ALTER FUNCTION gateway.record_sweep(p_step text, p_node text, p_done bigint, p_seconds double precision, p_error text) OWNER TO definer;
CREATE FUNCTION gateway.record_task_progress(p_id text, p_organization uuid, p_progress jsonb) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH told AS (
        UPDATE task SET progress = p_progress
        WHERE id = (
            SELECT id FROM task
            WHERE id = p_id AND organization_id = p_organization AND NOT is_final_state(state)
            FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM told)
$$;
ALTER FUNCTION gateway.record_task_progress(p_id text, p_organization uuid, p_progress jsonb) OWNER TO definer;
CREATE FUNCTION gateway.record_task_state(p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text, p_name text, p_worker text, p_retries integer, p_queue text, p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    before record;
BEGIN
    FOR attempt IN 1..2 LOOP
        UPDATE task SET
            state = p_state,
            result = p_result,
            error = p_error,
            progress = CASE WHEN p_progress IS NOT NULL OR p_state = 'STARTED' THEN p_progress ELSE progress END,
            traceback = p_traceback,
            name = coalesce(p_name, name),
            worker = coalesce(p_worker, worker),
            retries = coalesce(p_retries, retries),
            queue = coalesce(p_queue, queue),
            root_id = coalesce(root_id, p_root),
            parent_id = coalesce(parent_id, p_parent),
            group_id = coalesce(group_id, p_group),
            children = coalesce(p_children, children),
            started_at = CASE WHEN p_state = 'STARTED' THEN clock_timestamp() ELSE started_at END,
            finished_at = CASE WHEN is_final_state(p_state) THEN clock_timestamp() END
        WHERE id = p_id AND organization_id = p_organization AND NOT is_final_state(state);
        IF FOUND THEN
            RETURN 'written';
        END IF;
        SELECT organization_id, state INTO before FROM task WHERE id = p_id;
        IF FOUND THEN
            RETURN CASE WHEN before.organization_id IS DISTINCT FROM p_organization THEN 'refused'
                        WHEN before.state = 'SUCCESS' THEN 'final' ELSE 'void' END;
        ELSIF p_existing THEN
            RETURN 'absent';
        ELSIF p_organization IS NULL OR NOT EXISTS (SELECT FROM organization WHERE id = p_organization) THEN
            RETURN 'unknown';
        END IF;
        INSERT INTO task (id, organization_id, name, queue, root_id, parent_id, group_id)
        VALUES (p_id, p_organization, p_name, p_queue, p_root, p_parent, p_group)
        ON CONFLICT (id) DO NOTHING;
    END LOOP;
    RETURN 'refused';
END $$;
ALTER FUNCTION gateway.record_task_state(p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text, p_name text, p_worker text, p_retries integer, p_queue text, p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean) OWNER TO definer;
CREATE FUNCTION gateway.register_task(p_organization uuid, p_queue text, p_headers jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    before record;
BEGIN
    INSERT INTO task (id, organization_id, user_id, name, queue, root_id, parent_id, group_id, test_run_id, run_group_id,
                      eta, expires_at, enqueued)
    VALUES (p_headers->>'id', p_organization, NULLIF(p_headers->>'user_id', '')::uuid, p_headers->>'task', p_queue,
            p_headers->>'root_id', p_headers->>'parent_id', p_headers->>'group',
            NULLIF(p_headers->>'test_run_id', '')::uuid, NULLIF(p_headers->>'run_group_id', '')::uuid,
            (p_headers->>'eta')::timestamptz, (p_headers->>'expires')::timestamptz, true)
    ON CONFLICT (id) DO NOTHING;
    SELECT organization_id, state, enqueued INTO before FROM task WHERE id = p_headers->>'id';
    IF before.organization_id IS DISTINCT FROM p_organization THEN
        RAISE insufficient_privilege USING MESSAGE = 'this task id belongs to another organization';
    END IF;
    IF before.state = 'PENDING' AND NOT before.enqueued THEN
        UPDATE task SET queue = p_queue, root_id = p_headers->>'root_id', parent_id = p_headers->>'parent_id',
                        group_id = p_headers->>'group', enqueued = true
        WHERE id = p_headers->>'id';
    END IF;
END $$;
ALTER FUNCTION gateway.register_task(p_organization uuid, p_queue text, p_headers jsonb) OWNER TO definer;
CREATE FUNCTION gateway.remove_dead_nodes(p_age interval) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    dead_queues bigint := (SELECT count(DISTINCT queue) FROM broker_binding WHERE alive_at < now() - p_age);
    dead_nodes bigint;
BEGIN
    PERFORM broker_sweep(p_age);
    DELETE FROM worker_heartbeat WHERE at < now() - p_age;
    GET DIAGNOSTICS dead_nodes = ROW_COUNT;
    RETURN dead_queues + dead_nodes;
END $$;
ALTER FUNCTION gateway.remove_dead_nodes(p_age interval) OWNER TO definer;
CREATE FUNCTION gateway.reopen_chord(p_group text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE chord SET fired_at = NULL WHERE group_id = p_group
$$;
ALTER FUNCTION gateway.reopen_chord(p_group text) OWNER TO definer;
CREATE FUNCTION gateway.result_of_group(g gateway.run_group) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT jsonb_build_object(
        'run_group_id', g.id, 'status', g.status, 'counts', jsonb_build_object(
            'total', count(*), 'completed', count(*) FILTER (WHERE status = 'completed'),
            'partial', count(*) FILTER (WHERE status = 'partial'), 'failed', count(*) FILTER (WHERE status = 'failed'),
            'cancelled', count(*) FILTER (WHERE status = 'cancelled')))
    FROM test_run WHERE run_group_id = g.id
$$;
ALTER FUNCTION gateway.result_of_group(g gateway.run_group) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.return_chord_part(p_group text, p_organization uuid, p_task text, p_part integer, p_state text, p_result jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    before chord;
BEGIN
    SELECT * INTO before FROM chord WHERE group_id = p_group FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO chord (group_id, organization_id) VALUES (p_group, p_organization)
        ON CONFLICT (group_id) DO NOTHING;
        SELECT * INTO before FROM chord WHERE group_id = p_group FOR UPDATE;
    END IF;
    IF before.organization_id IS DISTINCT FROM p_organization AND before.organization_id IS NOT NULL THEN
        RETURN false;
    END IF;
    INSERT INTO chord_part (group_id, task_id, part, state, result)
    VALUES (p_group, p_task, coalesce(p_part, 2147483647), p_state, p_result)
    ON CONFLICT (group_id, task_id, part) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE chord SET
        done = done + 1,
        fired_at = CASE WHEN fired_at IS NULL AND done + 1 >= size THEN clock_timestamp() ELSE fired_at END
    WHERE group_id = p_group;
    RETURN before.fired_at IS NULL AND coalesce(before.done + 1 >= before.size, false);
END $$;
ALTER FUNCTION gateway.return_chord_part(p_group text, p_organization uuid, p_task text, p_part integer, p_state text, p_result jsonb) OWNER TO definer;
CREATE FUNCTION gateway.revoked_error(p_reason text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT jsonb_build_object('exc_type', 'TaskRevokedError', 'exc_module', 'celery.exceptions',
                              'exc_message', jsonb_build_array(p_reason))
$$;
ALTER FUNCTION gateway.revoked_error(p_reason text) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.run_group_event_data(g gateway.run_group) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'run_group_id', g.id, 'task_id', g.task_id, 'status', g.status, 'total', g.planned, 'finished', g.finished))
$$;
ALTER FUNCTION gateway.run_group_event_data(g gateway.run_group) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.runs_in_need(p_grace interval, p_limit integer) RETURNS TABLE(organization_id uuid, test_run_id uuid, need text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH open AS (
        SELECT r.*, EXISTS (SELECT FROM test_result t WHERE t.test_run_id = r.id AND t.status = 'pending') AS has_pending
        FROM test_run r WHERE r.finished_at IS NULL
    )
    SELECT organization_id, id,
           CASE WHEN planning THEN 'plan'
                WHEN cancel_requested_at IS NOT NULL OR deadline_at < now() OR NOT has_pending THEN 'settle'
                ELSE 'revive' END
    FROM open
    WHERE cancel_requested_at < now() - p_grace
       OR deadline_at < now()
       OR (planning AND started_at < now() - greatest(p_grace, interval '1 minute'))
       OR (planned IS NOT NULL AND NOT planning AND NOT has_pending)
       OR (planned IS NOT NULL AND NOT planning AND has_pending AND NOT EXISTS (
              SELECT FROM lane l WHERE l.test_run_id = open.id AND l.finished_at IS NULL
                 AND (l.lease_until > now() - p_grace
                      OR EXISTS (SELECT FROM broker_message m WHERE m.task_id = l.task_id)
                      OR EXISTS (SELECT FROM task t WHERE t.id = l.task_id AND t.started_at > now() - p_grace))))
    ORDER BY id LIMIT p_limit
$$;
ALTER FUNCTION gateway.runs_in_need(p_grace interval, p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.schema_revision() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT version_num FROM alembic_version
$$;
ALTER FUNCTION gateway.schema_revision() OWNER TO definer;
CREATE FUNCTION gateway.serving_role() RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE current_setting('role') WHEN 'none' THEN session_user::text ELSE current_setting('role') END
$$;
ALTER FUNCTION gateway.serving_role() OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.set_chord_size(p_group text, p_size integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    complete boolean;
BEGIN
    INSERT INTO chord (group_id, size) VALUES (p_group, p_size)
    ON CONFLICT (group_id) DO UPDATE SET size = EXCLUDED.size
    RETURNING done >= size AND fired_at IS NULL INTO complete;
    IF complete THEN
        UPDATE chord SET fired_at = clock_timestamp() WHERE group_id = p_group;
    END IF;
    RETURN complete;
END $$;
ALTER FUNCTION gateway.set_chord_size(p_group text, p_size integer) OWNER TO definer;
CREATE FUNCTION gateway.settle_group(p_group uuid) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    g run_group;
    runs record;
BEGIN
    SELECT * INTO g FROM run_group WHERE id = p_group FOR NO KEY UPDATE;
    IF NOT FOUND OR g.finished_at IS NOT NULL THEN
        RETURN g.status;
    END IF;
    SELECT count(*) AS total, count(finished_at) AS ended, count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'cancelled') AS cancelled
    INTO runs FROM test_run WHERE run_group_id = p_group;
    IF runs.total = 0 OR runs.ended < runs.total THEN
        RETURN NULL;
    END IF;
    UPDATE run_group SET
        status = CASE
            WHEN cancel_requested_at IS NOT NULL OR runs.cancelled = runs.total THEN 'cancelled'
            WHEN runs.completed = runs.total THEN 'completed'
            WHEN runs.failed = runs.total THEN 'failed'
            ELSE 'partial' END,
        comparison = compare_group(organization_id, id),
        finished_at = clock_timestamp()
    WHERE id = p_group RETURNING * INTO g;
    PERFORM finish_task_of_group(g);
    RETURN g.status;
END $$;
ALTER FUNCTION gateway.settle_group(p_group uuid) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.settle_group_of(p_run uuid) RETURNS text
    LANGUAGE sql
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT settle_group(run_group_id) FROM test_run
    WHERE id = p_run AND run_group_id IS NOT NULL AND finished_at IS NOT NULL
$$;
ALTER FUNCTION gateway.settle_group_of(p_run uuid) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.settle_reason(outcome text, errors bigint, executed bigint) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN executed = 0 THEN 'The run had no test to execute.'
        WHEN outcome = 'failed' THEN 'None of the ' || executed || ' tests could be executed.'
        WHEN outcome = 'partial' THEN errors || ' of ' || executed || ' tests could not be executed.'
    END
$$;
ALTER FUNCTION gateway.settle_reason(outcome text, errors bigint, executed bigint) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.settle_run(p_run uuid) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    run test_run;
    outcome text;
    why text;
    executed bigint;
    errors bigint;
BEGIN
    SELECT * INTO run FROM test_run WHERE id = p_run FOR NO KEY UPDATE;
    IF NOT FOUND OR run.finished_at IS NOT NULL THEN
        RETURN run.status;
    END IF;
    IF run.planning THEN
        RETURN NULL;
    END IF;
    IF run.cancel_requested_at IS NOT NULL THEN
        outcome := 'cancelled';
        why := 'The run was cancelled.';
        UPDATE test_result SET status = 'cancelled', leased_by = NULL, lease_until = NULL, finished_at = clock_timestamp()
        WHERE test_run_id = p_run AND status = 'pending';
    ELSIF failed_too_often(run) THEN
        UPDATE test_result SET status = 'cancelled', leased_by = NULL, lease_until = NULL, finished_at = clock_timestamp()
        WHERE test_run_id = p_run AND status = 'pending';
        IF FOUND THEN
            why := format('The run ended early, with %s of its tests cancelled: %s failed and %s could not be executed, and'
                          ' max_failures is %s.', run.pending, run.failed, run.errored,
                          run.snapshot #>> '{configuration,max_failures}');
        END IF;
    ELSIF run.deadline_at < clock_timestamp() THEN
        why := 'The run did not end before its deadline.';
        UPDATE test_result SET
            status = 'error', leased_by = NULL, lease_until = NULL, finished_at = clock_timestamp(),
            error = jsonb_build_object('code', 'deadline', 'message', 'The run ended before this test could be executed.')
        WHERE test_run_id = p_run AND status = 'pending';
    ELSIF run.planned IS NULL
          OR EXISTS (SELECT FROM test_result WHERE test_run_id = p_run AND status = 'pending') THEN
        RETURN NULL;
    END IF;
    SELECT count(*) FILTER (WHERE status <> 'cancelled'), count(*) FILTER (WHERE status = 'error')
    INTO executed, errors FROM test_result WHERE test_run_id = p_run;
    outcome := coalesce(outcome, CASE
        WHEN executed = 0 OR errors = executed THEN 'failed'
        WHEN errors = 0 THEN 'completed'
        ELSE 'partial' END);
    UPDATE test_run SET
        status = outcome, reason = coalesce(reason, why, settle_reason(outcome, errors, executed)),
        finished_at = clock_timestamp()
    WHERE id = p_run RETURNING * INTO run;
    PERFORM finish_task_of_run(run);
    RETURN outcome;
END $$;
ALTER FUNCTION gateway.settle_run(p_run uuid) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.short_text(value text, most integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE WHEN length(value) > most THEN left(value, most - 1) || '…' ELSE value END
$$;
ALTER FUNCTION gateway.short_text(value text, most integer) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.stream_token_keys() RETURNS TABLE(id integer, secret bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT id, secret FROM stream_token_key
$$;
ALTER FUNCTION gateway.stream_token_keys() OWNER TO definer;
CREATE FUNCTION gateway.switch_webhook_endpoint() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.disabled_at IS NULL THEN
        NEW.failing_since := NULL;
        NEW.quick := NULL;
        NEW.places := 1;
        NEW.held_until := NULL;
    ELSE
        NEW.seq := OLD.seq + 1;
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION gateway.switch_webhook_endpoint() OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.take_share(p_endpoint uuid, p_holder uuid, p_most integer, p_wanted integer, p_kept integer, p_turn interval, p_lease interval) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    organization uuid := current_organization();
    moment timestamptz;
    allowed integer;
BEGIN
    PERFORM FROM endpoint_state WHERE endpoint_id = p_endpoint AND organization_id = organization FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO endpoint_state (endpoint_id, organization_id) VALUES (p_endpoint, organization)
        ON CONFLICT (endpoint_id) DO UPDATE SET endpoint_id = EXCLUDED.endpoint_id;
    END IF;
    moment := clock_timestamp();
    DELETE FROM endpoint_share WHERE endpoint_id = p_endpoint AND organization_id = organization AND lease_until < moment;
    INSERT INTO endpoint_share AS s (endpoint_id, holder, organization_id, granted, wanted, since, lease_until)
    VALUES (p_endpoint, p_holder, organization, p_kept, p_wanted, moment, moment + p_lease)
    ON CONFLICT (endpoint_id, holder) DO UPDATE SET
        granted = EXCLUDED.granted, wanted = EXCLUDED.wanted, lease_until = EXCLUDED.lease_until,
        since = CASE WHEN (s.granted = 0) = (EXCLUDED.granted = 0) THEN s.since ELSE EXCLUDED.since END;
    SELECT least(fair_share(p_endpoint, p_holder, p_most, p_turn), p_kept + greatest(p_most - sum(granted), 0))
    INTO allowed FROM endpoint_share WHERE endpoint_id = p_endpoint AND organization_id = organization;
    IF allowed > p_kept THEN
        UPDATE endpoint_share SET granted = allowed, since = CASE WHEN granted = 0 THEN moment ELSE since END
        WHERE endpoint_id = p_endpoint AND holder = p_holder;
    END IF;
    RETURN allowed;
END $$;
ALTER FUNCTION gateway.take_share(p_endpoint uuid, p_holder uuid, p_most integer, p_wanted integer, p_kept integer, p_turn interval, p_lease interval) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.task_error_message(error jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE jsonb_typeof(error->'exc_message')
        WHEN 'array' THEN coalesce(
            (SELECT string_agg(part, ', ') FROM jsonb_array_elements_text(error->'exc_message') AS part), '')
        ELSE error->>'exc_message'
    END
$$;
ALTER FUNCTION gateway.task_error_message(error jsonb) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.task_event_data(t gateway.task) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'task_id', t.id,
        'name', t.name,
        'status', t.state,
        'retries', t.retries,
        'queue', t.queue,
        'worker', short_text(t.worker, 200),
        'test_run_id', t.test_run_id,
        'progress', CASE WHEN octet_length(t.progress::text) <= 1024 THEN t.progress END,
        'result', CASE WHEN octet_length(t.result::text) <= 4096 THEN t.result END,
        'result_omitted', CASE WHEN octet_length(t.result::text) > 4096 THEN true END,
        'error', CASE WHEN t.error IS NOT NULL THEN jsonb_build_object(
            'type', short_text(t.error->>'exc_type', 200),
            'message', short_text(task_error_message(t.error), 500)) END));
END $$;
ALTER FUNCTION gateway.task_event_data(t gateway.task) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.task_event_type(state text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE state
        WHEN 'PENDING' THEN 'task.pending'
        WHEN 'STARTED' THEN 'task.started'
        WHEN 'RETRY' THEN 'task.retry'
        WHEN 'SUCCESS' THEN 'task.succeeded'
        WHEN 'FAILURE' THEN 'task.failed'
        WHEN 'REVOKED' THEN 'task.revoked'
        ELSE 'task.progress'
    END
$$;
ALTER FUNCTION gateway.task_event_type(state text) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.tell_api_key_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('gateway_key', OLD.id::text);
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.tell_api_key_change() OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.test_result_event_data(test_run_id uuid, test_id uuid, repeat integer, "position" integer, status text, latency_ms double precision, attempts integer, http_status integer, error jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'test_run_id', test_run_id, 'test_id', test_id, 'repeat', repeat, 'position', "position",
        'status', status,
        'latency_ms', round(latency_ms::numeric, 1), 'attempts', attempts, 'http_status', http_status,
        'error', CASE WHEN error IS NOT NULL THEN jsonb_build_object(
            'code', error->>'code', 'message', short_text(error->>'message', 300)) END))
$$;
ALTER FUNCTION gateway.test_result_event_data(test_run_id uuid, test_id uuid, repeat integer, "position" integer, status text, latency_ms double precision, attempts integer, http_status integer, error jsonb) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.test_run_event_data(r gateway.test_run) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'test_run_id', r.id,
        'test_configuration_id', r.test_configuration_id,
        'run_group_id', r.run_group_id,
        'task_id', r.task_id,
        'status', r.status,
        'counts', jsonb_build_object(
            'total', r.planned, 'pending', r.pending, 'passed', r.passed, 'failed', r.failed,
            'errored', r.errored, 'cancelled', r.cancelled, 'unscored', r.unscored),
        'reason', left(r.reason, 1000)))
$$;
ALTER FUNCTION gateway.test_run_event_data(r gateway.test_run) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.touch_api_key(p_id uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE api_key SET last_used_at = now()
    WHERE id = p_id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
$$;
ALTER FUNCTION gateway.touch_api_key(p_id uuid) OWNER TO definer;
CREATE FUNCTION gateway.webhook_backlog() RETURNS TABLE(pending bigint, due_since timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    SELECT count(*), min(next_attempt_at) FILTER (WHERE next_attempt_at <= now()) FROM webhook_delivery WHERE status = 'pending'
$$;
ALTER FUNCTION gateway.webhook_backlog() OWNER TO definer;
CREATE FUNCTION gateway.webhook_interrupt(p_most_attempts integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH interrupted AS (
        UPDATE webhook_delivery SET
            leased_by = NULL, lease_until = NULL, schedule_place = schedule_place + 1, http_status = NULL,
            error = 'interrupted',
            status = CASE WHEN schedule_place + 1 < p_most_attempts THEN 'pending' ELSE 'exhausted' END,
            next_attempt_at = CASE WHEN schedule_place + 1 < p_most_attempts THEN now() END,
            finished_at = CASE WHEN schedule_place + 1 >= p_most_attempts THEN now() END
        WHERE id IN (SELECT id FROM webhook_delivery WHERE leased_by IS NOT NULL AND lease_until < now()
                     FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING id, organization_id, attempts
    )
    INSERT INTO webhook_attempt (organization_id, webhook_delivery_id, number, error)
    SELECT organization_id, id, attempts, 'interrupted' FROM interrupted
$$;
ALTER FUNCTION gateway.webhook_interrupt(p_most_attempts integer) OWNER TO definer;
CREATE FUNCTION gateway.webhook_learn(p_ids uuid[], p_results jsonb, p_disable_after interval, p_most_places integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM webhook_endpoint e
    WHERE e.id IN (SELECT d.webhook_endpoint_id FROM webhook_delivery d WHERE d.id = ANY (p_ids))
    ORDER BY e.id FOR NO KEY UPDATE;
    WITH told AS (
        SELECT d.webhook_endpoint_id AS id, bool_or(r.outcome = 'delivered') AS delivered, bool_or(r.outcome = 'gone') AS gone,
               bool_and(r.outcome = 'delivered' AND r.duration_ms < 1000) AS quick, max(r.retry_after) AS retry_after
        FROM jsonb_to_recordset(p_results) AS r(id uuid, outcome text, duration_ms double precision, retry_after double precision)
        JOIN webhook_delivery d ON d.id = r.id
        WHERE d.id = ANY (p_ids) AND d.event_type <> 'webhook_endpoint.test'
        GROUP BY 1
    ), learnt AS (
        SELECT e.id, t.quick, t.delivered, e.disabled_at,
               CASE WHEN t.quick THEN least(e.places * 2, p_most_places) ELSE 1 END AS places,
               CASE WHEN NOT t.delivered THEN coalesce(e.failing_since, now()) END AS failing_since,
               greatest(e.held_until, now() + make_interval(secs => t.retry_after)) AS held_until,
               CASE WHEN e.kind = 'callback' OR e.disabled_at IS NOT NULL THEN e.disabled_reason
                    WHEN t.gone THEN 'gone'
                    WHEN NOT t.delivered AND e.failing_since < now() - p_disable_after THEN 'failing' END AS disabled_reason
        FROM told t JOIN webhook_endpoint e ON e.id = t.id
    )
    UPDATE webhook_endpoint e SET
        places = l.places, quick = l.quick, failing_since = l.failing_since, held_until = l.held_until,
        disabled_reason = l.disabled_reason,
        disabled_at = CASE WHEN l.disabled_reason IS NOT NULL THEN coalesce(e.disabled_at, now()) END
    FROM learnt l
    WHERE e.id = l.id AND (e.places, e.quick, e.failing_since, e.held_until, e.disabled_reason)
          IS DISTINCT FROM (l.places, l.quick, l.failing_since, l.held_until, l.disabled_reason);
END $$;
ALTER FUNCTION gateway.webhook_learn(p_ids uuid[], p_results jsonb, p_disable_after interval, p_most_places integer) OWNER TO definer;
CREATE FUNCTION gateway.webhook_links(p_type text, p_subject text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $_$
    SELECT CASE split_part(p_type, '.', 1)
        WHEN 'test_run' THEN jsonb_build_object(
            'self', '/v1/test-runs/' || p_subject, 'results', '/v1/test-runs/' || p_subject || '/results',
            'statistics', '/v1/test-runs/' || p_subject || '/statistics')
        WHEN 'run_group' THEN jsonb_build_object(
            'self', '/v1/run-groups/' || p_subject, 'differences', '/v1/run-groups/' || p_subject || '/differences')
        WHEN 'webhook_endpoint' THEN jsonb_build_object('self', '/v1/webhook-endpoints/' || p_subject)
        -- Celery lets a task have any id; one that does not fit into a path has no link.
        ELSE CASE WHEN p_subject ~ '^[A-Za-z0-9._~-]+$' THEN jsonb_build_object('self', '/v1/tasks/' || p_subject)
                  ELSE '{}' END
    END
$_$;
ALTER FUNCTION gateway.webhook_links(p_type text, p_subject text) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.webhook_payload(p_type text, p_organization uuid, p_subject text, p_seq integer, p_at timestamp with time zone, p_data jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_build_object(
        'type', p_type,
        'timestamp', to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'data', p_data || jsonb_build_object(
            'organization_id', p_organization, 'seq', p_seq, 'links', webhook_links(p_type, p_subject)))
$$;
ALTER FUNCTION gateway.webhook_payload(p_type text, p_organization uuid, p_subject text, p_seq integer, p_at timestamp with time zone, p_data jsonb) OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.webhook_record(p_token uuid, p_results jsonb, p_delays double precision[], p_jitter double precision, p_disable_after interval, p_most_places integer) RETURNS TABLE(id uuid, status text, next_attempt_at timestamp with time zone, endpoint_disabled boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    recorded uuid[];
BEGIN
    WITH r AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(p_results) AS given(
            id uuid, outcome text, http_status integer, error text, excerpt text, duration_ms double precision,
            retry_after double precision)
    ), ours AS (
        SELECT r.*, d.organization_id, d.attempts,
               CASE WHEN r.outcome = 'delivered' THEN 'delivered'
                    WHEN r.outcome = 'gone' OR d.event_type = 'webhook_endpoint.test'
                         OR d.schedule_place >= cardinality(p_delays) THEN 'exhausted'
                    WHEN e.disabled_at IS NOT NULL THEN 'skipped'
                    ELSE 'pending' END AS becomes,
               p_delays[d.schedule_place + 1] * (1 + p_jitter * (2 * random() - 1)) AS delay
        FROM r JOIN webhook_delivery d ON d.id = r.id AND d.leased_by = p_token
        JOIN webhook_endpoint e ON e.id = d.webhook_endpoint_id
    ), changed AS (
        UPDATE webhook_delivery d SET
            status = o.becomes, http_status = o.http_status, error = o.error, leased_by = NULL, lease_until = NULL,
            schedule_place = d.schedule_place + (o.outcome <> 'delivered')::integer,
            next_attempt_at = CASE WHEN o.becomes = 'pending' THEN
                now() + make_interval(secs => greatest(o.delay, o.retry_after)) END,
            finished_at = CASE WHEN o.becomes <> 'pending' THEN now() END
        FROM ours o WHERE d.id = o.id AND d.leased_by = p_token
        RETURNING d.id
    ), logged AS (
        INSERT INTO webhook_attempt (organization_id, webhook_delivery_id, number, http_status, error, response_excerpt,
                                     duration_ms)
        SELECT o.organization_id, o.id, o.attempts, o.http_status, o.error, o.excerpt, o.duration_ms
        FROM ours o JOIN changed USING (id)
    )
    SELECT array_agg(id) INTO recorded FROM changed;
    PERFORM webhook_learn(recorded, p_results, p_disable_after, p_most_places);
    RETURN QUERY
    SELECT d.id, d.status, d.next_attempt_at, coalesce(e.disabled_at = now(), false)
    FROM webhook_delivery d JOIN webhook_endpoint e ON e.id = d.webhook_endpoint_id WHERE d.id = ANY (recorded);
END $$;
ALTER FUNCTION gateway.webhook_record(p_token uuid, p_results jsonb, p_delays double precision[], p_jitter double precision, p_disable_after interval, p_most_places integer) OWNER TO definer;
CREATE FUNCTION gateway.webhook_release(p_token uuid, p_ids uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    UPDATE webhook_delivery SET leased_by = NULL, lease_until = NULL, attempts = attempts - 1, next_attempt_at = now()
    WHERE id = ANY (p_ids) AND leased_by = p_token
$$;
ALTER FUNCTION gateway.webhook_release(p_token uuid, p_ids uuid[]) OWNER TO definer;
CREATE FUNCTION gateway.webhook_reserve(p_ids uuid[], p_token uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH rated AS (
        SELECT e.id, e.rate_per_second FROM webhook_endpoint e
        WHERE e.rate_per_second IS NOT NULL
          AND e.id IN (SELECT d.webhook_endpoint_id FROM webhook_delivery d WHERE d.id = ANY (p_ids))
        ORDER BY e.id FOR NO KEY UPDATE
    )
    UPDATE webhook_endpoint e SET held_until = now() + make_interval(secs => n.taken / r.rate_per_second)
    FROM rated r, LATERAL (SELECT count(*) AS taken FROM webhook_delivery d
                           WHERE d.id = ANY (p_ids) AND d.webhook_endpoint_id = r.id AND d.leased_by = p_token) n
    WHERE e.id = r.id AND n.taken > 0
$$;
ALTER FUNCTION gateway.webhook_reserve(p_ids uuid[], p_token uuid) OWNER TO definer;
CREATE FUNCTION gateway.webhook_sweep(p_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    WITH skipped AS (
        UPDATE webhook_delivery SET status = 'skipped', next_attempt_at = NULL, finished_at = now()
        WHERE id IN (SELECT d.id FROM webhook_endpoint e JOIN webhook_delivery d ON d.webhook_endpoint_id = e.id
                     WHERE e.disabled_at IS NOT NULL AND d.status = 'pending' AND d.leased_by IS NULL
                     LIMIT p_limit FOR NO KEY UPDATE OF d SKIP LOCKED)
        RETURNING 1
    )
    SELECT count(*) FROM skipped
$$;
ALTER FUNCTION gateway.webhook_sweep(p_limit integer) OWNER TO definer;
CREATE FUNCTION gateway.webhook_take(p_limit integer, p_slow_limit integer, p_token uuid, p_lease interval, p_most_attempts integer) RETURNS TABLE(id uuid, organization_id uuid, webhook_endpoint_id uuid, url text, sealed_secrets bytea, sealed_headers bytea, event_type text, payload jsonb, attempt integer, slow boolean, due_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    chosen uuid[];
    due_since timestamptz[];
BEGIN
    IF NOT EXISTS (SELECT FROM webhook_delivery d
                   WHERE d.status = 'pending' AND d.leased_by IS NULL AND d.next_attempt_at <= now())
       AND NOT EXISTS (SELECT FROM webhook_delivery d WHERE d.leased_by IS NOT NULL AND d.lease_until < now()) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7402118555003);
    PERFORM webhook_interrupt(p_most_attempts);
    -- One look into the index for each endpoint that something waits for, however much that is.
    WITH RECURSIVE waiting AS (
        (SELECT d.webhook_endpoint_id AS endpoint_id FROM webhook_delivery d
         WHERE d.status = 'pending' AND d.leased_by IS NULL ORDER BY d.webhook_endpoint_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.webhook_endpoint_id FROM webhook_delivery d
                WHERE d.status = 'pending' AND d.leased_by IS NULL AND d.webhook_endpoint_id > w.endpoint_id
                ORDER BY d.webhook_endpoint_id LIMIT 1)
        FROM waiting w WHERE w.endpoint_id IS NOT NULL
    ), open AS (
        SELECT e.id, e.quick IS FALSE AS slow,
               least(e.places - (SELECT count(*) FROM webhook_delivery d
                                 WHERE d.webhook_endpoint_id = e.id AND d.leased_by IS NOT NULL),
                     ceil(e.rate_per_second / 10)) AS room
        FROM waiting w JOIN webhook_endpoint e ON e.id = w.endpoint_id
        WHERE e.disabled_at IS NULL AND (e.held_until IS NULL OR e.held_until <= now())
    ), due AS (
        SELECT d.id, d.next_attempt_at, o.slow,
               row_number() OVER (PARTITION BY o.id ORDER BY d.next_attempt_at) AS turn
        FROM open o CROSS JOIN LATERAL (
            SELECT d.id, d.next_attempt_at FROM webhook_delivery d
            WHERE d.webhook_endpoint_id = o.id AND d.status = 'pending' AND d.leased_by IS NULL
              AND d.next_attempt_at <= now()
            ORDER BY d.next_attempt_at LIMIT greatest(o.room, 0)) d
    ), placed AS (
        SELECT *, row_number() OVER (PARTITION BY slow ORDER BY turn, next_attempt_at) AS place FROM due
    ), taken AS (
        SELECT id, next_attempt_at FROM placed WHERE NOT slow OR place <= p_slow_limit
        ORDER BY turn, next_attempt_at LIMIT p_limit
    )
    SELECT array_agg(id), array_agg(next_attempt_at) INTO chosen, due_since FROM taken;
    UPDATE webhook_delivery d SET leased_by = p_token, lease_until = now() + p_lease, attempts = attempts + 1
    WHERE d.id = ANY (chosen) AND d.status = 'pending' AND d.leased_by IS NULL;
    PERFORM webhook_reserve(chosen, p_token);
    RETURN QUERY
    SELECT d.id, d.organization_id, e.id, coalesce(d.callback_url, e.url), e.sealed_secrets, e.sealed_headers,
           d.event_type, d.payload, d.attempts, e.quick IS FALSE, c.since
    FROM unnest(chosen, due_since) AS c (id, since)
    JOIN webhook_delivery d ON d.id = c.id AND d.leased_by = p_token
    JOIN webhook_endpoint e ON e.id = d.webhook_endpoint_id;
END $$;
ALTER FUNCTION gateway.webhook_take(p_limit integer, p_slow_limit integer, p_token uuid, p_lease interval, p_most_attempts integer) OWNER TO definer;
CREATE FUNCTION gateway.worker_left(p_node text, p_started_at timestamp with time zone) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
    DELETE FROM worker_heartbeat WHERE node = p_node AND started_at = p_started_at
$$;
ALTER FUNCTION gateway.worker_left(p_node text, p_started_at timestamp with time zone) OWNER TO definer;
CREATE FUNCTION gateway.worker_report(p_node text, p_pid integer, p_started_at timestamp with time zone, p_pool text, p_concurrency integer, p_queues text[], p_tasks jsonb) RETURNS SETOF text
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
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
ALTER FUNCTION gateway.worker_report(p_node text, p_pid integer, p_started_at timestamp with time zone, p_pool text, p_concurrency integer, p_queues text[], p_tasks jsonb) OWNER TO definer;
CREATE FUNCTION gateway.worst_first() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT ARRAY['error', 'fail', 'pending', 'cancelled', 'unscored', 'pass']
$$;
ALTER FUNCTION gateway.worst_first() OWNER TO CURRENT_USER;
CREATE FUNCTION gateway.write_run_group_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    kind text := 'run_group.' || CASE NEW.status WHEN 'running' THEN 'progress' ELSE NEW.status END;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.status = OLD.status THEN
        kind := 'run_group.progress';
    END IF;
    INSERT INTO task_event (organization_id, subject_id, seq, type, data)
    VALUES (NEW.organization_id, NEW.id::text, NEW.seq, kind, run_group_event_data(NEW));
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.write_run_group_event() OWNER TO definer;
CREATE FUNCTION gateway.write_task_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    kind text := task_event_type(NEW.state);
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.state = OLD.state THEN
        kind := 'task.progress';
    END IF;
    INSERT INTO task_event (organization_id, subject_id, seq, type, data)
    VALUES (NEW.organization_id, NEW.id, NEW.seq, kind, task_event_data(NEW));
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.write_task_event() OWNER TO definer;
CREATE FUNCTION gateway.write_test_run_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'gateway', 'pg_temp'
    AS $$
DECLARE
    kind text := 'test_run.' || CASE NEW.status WHEN 'running' THEN 'started' ELSE NEW.status END;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.status = OLD.status THEN
        kind := 'test_run.progress';
    END IF;
    INSERT INTO task_event (organization_id, subject_id, seq, type, data)
    VALUES (NEW.organization_id, NEW.id::text, NEW.seq, kind, test_run_event_data(NEW));
    RETURN NULL;
END $$;
ALTER FUNCTION gateway.write_test_run_event() OWNER TO definer;
CREATE TABLE gateway.alembic_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE gateway.alembic_version OWNER TO CURRENT_USER;
CREATE TABLE gateway.app_user (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    email text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT app_user_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);
ALTER TABLE ONLY gateway.app_user FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.app_user OWNER TO CURRENT_USER;
CREATE TABLE gateway.audit_event (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    key_id uuid,
    user_id uuid,
    subject text,
    action text NOT NULL,
    outcome text DEFAULT 'done'::text NOT NULL,
    resource_type text NOT NULL,
    resource_id text,
    request_id text,
    client text,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT audit_event_action_check CHECK ((action ~ '^[a-z_]+\.[a-z_]+$'::text)),
    CONSTRAINT audit_event_actor_check CHECK ((actor = ANY (ARRAY['key'::text, 'token'::text, 'operator'::text]))),
    CONSTRAINT audit_event_details_check CHECK ((length((details)::text) <= 4000)),
    CONSTRAINT audit_event_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'denied'::text])))
);
ALTER TABLE ONLY gateway.audit_event FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.audit_event OWNER TO CURRENT_USER;
CREATE TABLE gateway.broker_binding (
    exchange text NOT NULL,
    exchange_type text NOT NULL,
    routing_key text NOT NULL,
    pattern text DEFAULT ''::text NOT NULL,
    queue text NOT NULL,
    alive_at timestamp with time zone,
    CONSTRAINT broker_binding_exchange_type_check CHECK ((exchange_type = ANY (ARRAY['direct'::text, 'topic'::text, 'fanout'::text])))
);
ALTER TABLE gateway.broker_binding OWNER TO CURRENT_USER;
ALTER TABLE gateway.broker_message ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME gateway.broker_message_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE gateway.endpoint (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    spec jsonb NOT NULL,
    sealed_headers bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone
);
ALTER TABLE ONLY gateway.endpoint FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.endpoint OWNER TO CURRENT_USER;
CREATE TABLE gateway.endpoint_share (
    endpoint_id uuid NOT NULL,
    holder uuid NOT NULL,
    organization_id uuid NOT NULL,
    granted integer NOT NULL,
    wanted integer NOT NULL,
    since timestamp with time zone NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    CONSTRAINT endpoint_share_granted_check CHECK ((granted >= 0)),
    CONSTRAINT endpoint_share_wanted_check CHECK ((wanted >= 0))
)
WITH (fillfactor='50');
ALTER TABLE ONLY gateway.endpoint_share FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.endpoint_share OWNER TO CURRENT_USER;
CREATE TABLE gateway.endpoint_state (
    endpoint_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    next_request_at timestamp with time zone,
    held_until timestamp with time zone,
    circuit_open_until timestamp with time zone,
    circuit_tried_until timestamp with time zone,
    circuit_reason jsonb
)
WITH (fillfactor='50');
ALTER TABLE ONLY gateway.endpoint_state FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.endpoint_state OWNER TO CURRENT_USER;
CREATE TABLE gateway.event_log (
    is_the_row boolean DEFAULT true NOT NULL,
    epoch uuid DEFAULT gen_random_uuid() NOT NULL,
    pruned_xid xid8 DEFAULT '0'::xid8 NOT NULL,
    pruned_id bigint DEFAULT 0 NOT NULL,
    CONSTRAINT event_log_is_the_row_check CHECK (is_the_row)
);
ALTER TABLE gateway.event_log OWNER TO CURRENT_USER;
CREATE TABLE gateway.idempotency_key (
    organization_id uuid NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    headers jsonb DEFAULT '{}'::jsonb NOT NULL,
    body jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_key_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);
ALTER TABLE ONLY gateway.idempotency_key FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.idempotency_key OWNER TO CURRENT_USER;
CREATE TABLE gateway.lane (
    test_run_id uuid NOT NULL,
    number integer NOT NULL,
    organization_id uuid NOT NULL,
    concurrency integer NOT NULL,
    slice integer DEFAULT 0 NOT NULL,
    task_id text NOT NULL,
    leased_by uuid,
    lease_until timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT lane_concurrency_check CHECK ((concurrency >= 1))
);
ALTER TABLE ONLY gateway.lane FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.lane OWNER TO CURRENT_USER;
CREATE TABLE gateway.metric (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    spec jsonb NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone
);
ALTER TABLE ONLY gateway.metric FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.metric OWNER TO CURRENT_USER;
CREATE TABLE gateway.organization (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    plan text DEFAULT 'default'::text NOT NULL,
    CONSTRAINT organization_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT organization_plan_check CHECK (((length(plan) >= 1) AND (length(plan) <= 100)))
);
ALTER TABLE ONLY gateway.organization FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.organization OWNER TO CURRENT_USER;
CREATE TABLE gateway.stream_token_key (
    id integer NOT NULL,
    secret bytea DEFAULT sha256((((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) || uuid_send(gen_random_uuid())) || uuid_send(gen_random_uuid()))) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stream_token_key_secret_check CHECK ((length(secret) = 32))
);
ALTER TABLE gateway.stream_token_key OWNER TO CURRENT_USER;
ALTER TABLE gateway.stream_token_key ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME gateway.stream_token_key_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE gateway.task_event ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME gateway.task_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE gateway.test_configuration (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    endpoint_id uuid NOT NULL,
    test_set_id uuid NOT NULL,
    spec jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone
);
ALTER TABLE ONLY gateway.test_configuration FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.test_configuration OWNER TO CURRENT_USER;
CREATE TABLE gateway.test_result (
    test_run_id uuid NOT NULL,
    test_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    "position" integer NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    output jsonb,
    scores jsonb,
    latency_ms double precision,
    attempts integer DEFAULT 0 NOT NULL,
    http_status integer,
    error jsonb,
    leased_by uuid,
    lease_until timestamp with time zone,
    finished_at timestamp with time zone,
    repeat integer DEFAULT 1 NOT NULL,
    CONSTRAINT test_result_repeat_check CHECK ((repeat >= 1)),
    CONSTRAINT test_result_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'pass'::text, 'fail'::text, 'error'::text, 'unscored'::text, 'cancelled'::text])))
)
WITH (fillfactor='60');
ALTER TABLE ONLY gateway.test_result FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.test_result OWNER TO CURRENT_USER;
CREATE TABLE gateway.test_set (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    version integer DEFAULT 1 NOT NULL
);
ALTER TABLE ONLY gateway.test_set FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.test_set OWNER TO CURRENT_USER;
CREATE TABLE gateway.webhook_attempt (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    webhook_delivery_id uuid NOT NULL,
    number integer NOT NULL,
    http_status integer,
    error text,
    response_excerpt text,
    duration_ms double precision,
    at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE ONLY gateway.webhook_attempt FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.webhook_attempt OWNER TO CURRENT_USER;
CREATE TABLE gateway.webhook_delivery (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    webhook_endpoint_id uuid NOT NULL,
    callback_url text,
    event_type text NOT NULL,
    subject_id text NOT NULL,
    payload jsonb NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now(),
    leased_by uuid,
    lease_until timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    schedule_place integer DEFAULT 0 NOT NULL,
    http_status integer,
    error text,
    CONSTRAINT webhook_delivery_check CHECK (((status = 'pending'::text) = (finished_at IS NULL))),
    CONSTRAINT webhook_delivery_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'exhausted'::text, 'skipped'::text])))
);
ALTER TABLE ONLY gateway.webhook_delivery FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.webhook_delivery OWNER TO CURRENT_USER;
CREATE TABLE gateway.webhook_endpoint (
    id uuid DEFAULT gateway.uuid7() NOT NULL,
    organization_id uuid NOT NULL,
    url text NOT NULL,
    description text,
    event_types text[] DEFAULT '{}'::text[] NOT NULL,
    sealed_secrets bytea NOT NULL,
    sealed_headers bytea,
    rate_per_second double precision,
    disabled_at timestamp with time zone,
    failing_since timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    kind text DEFAULT 'subscription'::text NOT NULL,
    disabled_reason text,
    places integer DEFAULT 1 NOT NULL,
    quick boolean,
    held_until timestamp with time zone,
    seq integer DEFAULT 0 NOT NULL,
    CONSTRAINT webhook_endpoint_check CHECK (((disabled_at IS NULL) = (disabled_reason IS NULL))),
    CONSTRAINT webhook_endpoint_disabled_reason_check CHECK ((disabled_reason = ANY (ARRAY['request'::text, 'gone'::text, 'failing'::text]))),
    CONSTRAINT webhook_endpoint_kind_check CHECK ((kind = ANY (ARRAY['subscription'::text, 'callback'::text]))),
    CONSTRAINT webhook_endpoint_places_check CHECK ((places > 0)),
    CONSTRAINT webhook_endpoint_rate_per_second_check CHECK ((rate_per_second > (0)::double precision))
);
ALTER TABLE ONLY gateway.webhook_endpoint FORCE ROW LEVEL SECURITY;
ALTER TABLE gateway.webhook_endpoint OWNER TO CURRENT_USER;
CREATE TABLE gateway.worker_heartbeat (
    node text NOT NULL,
    pid integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    pool text NOT NULL,
    concurrency integer NOT NULL,
    queues text[] NOT NULL,
    tasks jsonb DEFAULT '[]'::jsonb NOT NULL
);
ALTER TABLE gateway.worker_heartbeat OWNER TO CURRENT_USER;
INSERT INTO gateway.alembic_version VALUES
	('0015');
INSERT INTO gateway.api_key VALUES
	('01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'key', 'ItkHVVyX', '\xe7c295bc2b2900cceecac87bc5a0a05cf480c5ebe21d73a9d81cc6356c143743', '{events:read,runs:read,runs:write,tasks:submit,webhooks:manage}', '2026-11-27 08:05:58.505625+00', NULL, '2026-11-27 08:05:59.903961+00', NULL);
INSERT INTO gateway.audit_event VALUES
	('01a21c0a-2c79-7884-bf8d-bbb25c42ecaa', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:05:58.521342+00', 'operator', NULL, NULL, 'postgres', 'organization.create', 'done', 'organization', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, NULL, '{"name": "recorded"}'),
	('01a21c0a-2c83-7aa0-b560-bded7e05a99d', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:05:58.531605+00', 'operator', NULL, NULL, 'postgres', 'api_key.create', 'done', 'api_key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, '{"scopes": ["events:read", "runs:read", "runs:write", "tasks:submit", "webhooks:manage"], "expires_at": null}'),
	('01a21c0a-3261-76c1-95ef-c29c97bc2015', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:00.033081+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'webhook_endpoint.create', 'done', 'webhook_endpoint', '01a21c0a-3230-73e1-81a8-1fa7d145657c', 'ce0ebaccc3e74eb98303f0aa55266cc8', '127.0.0.1', '{"event_types": ["test_run.*"]}'),
	('01a21c0a-34a3-7438-bc2f-2f9559b01dd1', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:00.611694+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'task.submit', 'done', 'task', '243abbf9-9012-41da-9e1b-e0d5869cc243', '6949df5ef7c44684bacb1c469aeed7f6', '127.0.0.1', '{"name": "echo"}'),
	('01a21c0a-3580-7e8d-8bb1-2e29a97bdc0c', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:00.832138+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'endpoint.create', 'done', 'endpoint', '01a21c0a-3565-7bef-bfe2-10d74001647e', '1641657e541c46ada2b53dfa88d0592b', '127.0.0.1', '{}'),
	('01a21c0a-35d2-74bc-8d12-aee73b9e1931', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:00.914719+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'test_set.create', 'done', 'test_set', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', '4919774d448e40e098d96af448d69b40', '127.0.0.1', '{}'),
	('01a21c0a-3605-7ec9-9448-5d041e84354a', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:00.965299+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'test_configuration.create', 'done', 'test_configuration', '01a21c0a-35fb-736d-9734-229c52653482', '7834767fa06443a18a5cd24822ee25b6', '127.0.0.1', '{}'),
	('01a21c0a-3624-7b4f-9827-be2f7997ac29', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:00.996023+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'endpoint.create', 'done', 'endpoint', '01a21c0a-3618-7f6f-99f4-740377329097', 'ce439c9b5155433cbbc6d7f8b7b1e8da', '127.0.0.1', '{}'),
	('01a21c0a-365c-72db-988e-461775ce9125', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:01.052299+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'test_set.create', 'done', 'test_set', '01a21c0a-363a-703d-af89-1197ba66d9bc', '684baef1bf34432cb569e94d268a75ce', '127.0.0.1', '{}'),
	('01a21c0a-3686-7761-b465-6c5f7c53f728', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:01.094725+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'test_configuration.create', 'done', 'test_configuration', '01a21c0a-3681-728b-9133-c7d572be3f7d', '281a551075514844a53b5fc7fba54c63', '127.0.0.1', '{}'),
	('01a21c0a-3703-753a-8090-639579ad7cb2', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:01.22+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'test_configuration.execute', 'done', 'test_configuration', '01a21c0a-3681-728b-9133-c7d572be3f7d', '426992f785fb44b08452afbf6b729f31', '127.0.0.1', '{"made": "/v1/test-runs/01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}'),
	('01a21c0a-3b91-719d-b3e6-d6bf3ab092f9', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:02.385415+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'test_configuration.execute', 'done', 'test_configuration', '01a21c0a-35fb-736d-9734-229c52653482', '961ae6698f04411ca11dc327d664ee5a', '127.0.0.1', '{"made": "/v1/test-runs/01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}'),
	('01a21c0a-3eb8-73e4-9402-dcd51003d69e', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:03.192446+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'task.submit', 'done', 'task', '6c86f882-b568-4d62-9a7e-72fc1b096d15', '7b884764bf8f4fc7b43d18768fe62829', '127.0.0.1', '{"name": "echo"}'),
	('01a21c0a-3eca-781d-919d-ffd7fe8c92aa', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:03.210571+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'task.submit', 'done', 'task', '3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9', '5e1772023c2843cbb683e4ad82ab9777', '127.0.0.1', '{"name": "echo"}'),
	('01a21c0a-3ee3-773f-8b63-e89cd54cb2a7', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:03.23558+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'task.submit', 'done', 'task', 'd855a283-5297-4da5-a410-049c87bf2537', '1ca7db64d0274b3e9b1f4929242727ea', '127.0.0.1', '{"name": "echo"}'),
	('01a21c0a-3f4c-7bc8-be47-74df94465fc0', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:03.340295+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'test_set.execute', 'done', 'test_set', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', '92aa701ea1e8489b84522480be3ebbe0', '127.0.0.1', '{"made": "/v1/run-groups/01a21c0a-3f2a-7391-9c43-e182806091cf"}'),
	('01a21c0a-3f8d-762c-80d9-33699b2c5e48', '01a21c0a-2c6b-710d-b236-adbd469eb133', '2026-11-27 08:06:03.405729+00', 'key', '01a21c0a-2c7d-7a4b-aa9b-ca9e050484bb', NULL, NULL, 'test_configuration.execute', 'done', 'test_configuration', '01a21c0a-35fb-736d-9734-229c52653482', '81e7d0bb137c44c2b82e217279575c84', '127.0.0.1', '{"made": "/v1/test-runs/01a21c0a-3f7e-7efa-aee3-589b1b2a0e80"}');
INSERT INTO gateway.broker_binding VALUES
	('celery', 'direct', 'celery', '', 'celery', NULL),
	('celery.pidbox', 'fanout', '', '', 'worker-7a8e9344@test.celery.pidbox', '2026-11-27 08:06:02.34882+00');
INSERT INTO gateway.broker_message OVERRIDING SYSTEM VALUE VALUES
	(5, 'celery', '01a21c0a-2c6b-710d-b236-adbd469eb133', 9, '2026-11-27 08:06:05.608043+00', NULL, 1, '92ea74e9-4ef3-4778-b4f6-62e7976977b5', NULL, 'aedebdb1-bd7e-4e42-a279-479de19d14a9', '{"body": "[[\"01a21c0a-3b77-70d6-a8dc-ab90e96695ec\", 0, 0], {}, {\"callbacks\": null, \"errbacks\": null, \"chain\": null, \"chord\": {\"task\": \"collect_results\", \"args\": [\"01a21c0a-3b77-70d6-a8dc-ab90e96695ec\"], \"kwargs\": {}, \"options\": {\"headers\": {\"join_failures\": true}, \"task_id\": \"6f9d4946-44fb-42d9-9b3d-9fae1cc58392\", \"reply_to\": \"c2fff438-d0b8-38cf-976f-d52648fbc780\", \"chord\": null, \"group_id\": null, \"group_index\": null, \"root_id\": \"6f9d4946-44fb-42d9-9b3d-9fae1cc58392\", \"replaced_task_nesting\": 1}, \"subtask_type\": null, \"immutable\": false}}]", "headers": {"id": "aedebdb1-bd7e-4e42-a279-479de19d14a9", "eta": null, "lang": "py", "task": "run_lane", "group": "47cdca4f-0752-42e3-b4bc-d389147ce5df", "origin": "gen10479@vm", "shadow": null, "stamps": {}, "expires": null, "retries": 0, "root_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "argsrepr": "(''01a21c0a-3b77-70d6-a8dc-ab90e96695ec'', 0, 0)", "parent_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "timelimit": [null, null], "kwargsrepr": "{}", "group_index": 0, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec", "ignore_result": false, "organization_id": "01a21c0a-2c6b-710d-b236-adbd469eb133", "stamped_headers": null, "replaced_task_nesting": 1}, "properties": {"priority": 0, "reply_to": "c2fff438-d0b8-38cf-976f-d52648fbc780", "delivery_tag": "5b4ff1a5-cbd2-4d0b-9fb6-54be1574668e", "body_encoding": null, "delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_mode": 2, "correlation_id": "aedebdb1-bd7e-4e42-a279-479de19d14a9"}, "content-type": "application/json", "content-encoding": "utf-8"}', '2026-11-27 08:06:02.574625+00'),
	(7, 'celery', '01a21c0a-2c6b-710d-b236-adbd469eb133', 9, '2026-11-27 08:06:03.186011+00', NULL, 0, NULL, NULL, '6c86f882-b568-4d62-9a7e-72fc1b096d15', '{"body": "W1swXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "headers": {"id": "6c86f882-b568-4d62-9a7e-72fc1b096d15", "eta": null, "lang": "py", "task": "echo", "group": null, "origin": "gen10361@vm", "shadow": null, "stamps": {}, "expires": null, "retries": 0, "root_id": "6c86f882-b568-4d62-9a7e-72fc1b096d15", "argsrepr": "…", "parent_id": null, "timelimit": [null, null], "kwargsrepr": "…", "group_index": null, "ignore_result": null, "organization_id": "01a21c0a-2c6b-710d-b236-adbd469eb133", "stamped_headers": null, "replaced_task_nesting": 0}, "properties": {"argsrepr": "…", "priority": 0, "reply_to": "d1a6f6fe-8e02-3ca7-8d0a-138273cafbca", "kwargsrepr": "…", "delivery_tag": "5b6b4462-f0cd-4c07-80f8-fca1548f82c3", "body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_mode": 2, "correlation_id": "6c86f882-b568-4d62-9a7e-72fc1b096d15"}, "content-type": "application/json", "content-encoding": "utf-8"}', '2026-11-27 08:06:03.186011+00'),
	(8, 'celery', '01a21c0a-2c6b-710d-b236-adbd469eb133', 9, '2026-11-27 08:06:03.208399+00', NULL, 0, NULL, NULL, '3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9', '{"body": "W1sxXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "headers": {"id": "3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9", "eta": null, "lang": "py", "task": "echo", "group": null, "origin": "gen10361@vm", "shadow": null, "stamps": {}, "expires": null, "retries": 0, "root_id": "3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9", "argsrepr": "…", "parent_id": null, "timelimit": [null, null], "kwargsrepr": "…", "group_index": null, "ignore_result": null, "organization_id": "01a21c0a-2c6b-710d-b236-adbd469eb133", "stamped_headers": null, "replaced_task_nesting": 0}, "properties": {"argsrepr": "…", "priority": 0, "reply_to": "d1a6f6fe-8e02-3ca7-8d0a-138273cafbca", "kwargsrepr": "…", "delivery_tag": "bca29763-4824-4ce1-8d5a-c1e0ceee9744", "body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_mode": 2, "correlation_id": "3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9"}, "content-type": "application/json", "content-encoding": "utf-8"}', '2026-11-27 08:06:03.208399+00'),
	(10, 'celery', '01a21c0a-2c6b-710d-b236-adbd469eb133', 9, '2026-11-27 08:06:03.333264+00', NULL, 0, NULL, NULL, '389fc0aa-a1ee-480b-ac5f-d44791231152', '{"body": "W1siMDFhMjFjMGEtM2YyYS03MzkxLTljNDMtZTE4MjgwNjA5MWNmIl0sIHt9LCB7ImNhbGxiYWNrcyI6IG51bGwsICJlcnJiYWNrcyI6IG51bGwsICJjaGFpbiI6IG51bGwsICJjaG9yZCI6IG51bGx9XQ==", "headers": {"id": "389fc0aa-a1ee-480b-ac5f-d44791231152", "eta": null, "lang": "py", "task": "execute_test_set", "group": null, "origin": "gen10361@vm", "shadow": null, "stamps": {}, "expires": null, "retries": 0, "root_id": "389fc0aa-a1ee-480b-ac5f-d44791231152", "argsrepr": "…", "parent_id": null, "timelimit": [null, null], "kwargsrepr": "…", "group_index": null, "run_group_id": "01a21c0a-3f2a-7391-9c43-e182806091cf", "ignore_result": null, "organization_id": "01a21c0a-2c6b-710d-b236-adbd469eb133", "stamped_headers": null, "replaced_task_nesting": 0}, "properties": {"argsrepr": "…", "priority": 0, "reply_to": "d1a6f6fe-8e02-3ca7-8d0a-138273cafbca", "kwargsrepr": "…", "delivery_tag": "8e9f7c97-88ea-4a6c-9ebe-458d5b558221", "body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_mode": 2, "correlation_id": "389fc0aa-a1ee-480b-ac5f-d44791231152"}, "content-type": "application/json", "content-encoding": "utf-8"}', '2026-11-27 08:06:03.333264+00'),
	(9, 'celery', '01a21c0a-2c6b-710d-b236-adbd469eb133', 9, '2026-11-27 08:06:03.228021+00', NULL, 0, NULL, NULL, 'd855a283-5297-4da5-a410-049c87bf2537', '{"body": "W1syXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "headers": {"id": "d855a283-5297-4da5-a410-049c87bf2537", "eta": null, "lang": "py", "task": "echo", "group": null, "origin": "gen10361@vm", "shadow": null, "stamps": {}, "expires": null, "retries": 0, "root_id": "d855a283-5297-4da5-a410-049c87bf2537", "argsrepr": "…", "parent_id": null, "timelimit": [null, null], "kwargsrepr": "…", "group_index": null, "ignore_result": null, "organization_id": "01a21c0a-2c6b-710d-b236-adbd469eb133", "stamped_headers": null, "replaced_task_nesting": 0}, "properties": {"argsrepr": "…", "priority": 0, "reply_to": "d1a6f6fe-8e02-3ca7-8d0a-138273cafbca", "kwargsrepr": "…", "delivery_tag": "f018c46c-4446-4578-a576-637347241333", "body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_mode": 2, "correlation_id": "d855a283-5297-4da5-a410-049c87bf2537"}, "content-type": "application/json", "content-encoding": "utf-8"}', '2026-11-27 08:06:03.228021+00'),
	(11, 'celery', '01a21c0a-2c6b-710d-b236-adbd469eb133', 9, '2026-11-27 08:06:03.39656+00', NULL, 0, NULL, NULL, 'e42e8933-a097-4cfb-953c-fdf123553dc3', '{"body": "W1siMDFhMjFjMGEtMzVmYi03MzZkLTk3MzQtMjI5YzUyNjUzNDgyIiwgIjAxYTIxYzBhLTNmN2UtN2VmYS1hZWUzLTU4OWIxYjJhMGU4MCJdLCB7fSwgeyJjYWxsYmFja3MiOiBudWxsLCAiZXJyYmFja3MiOiBudWxsLCAiY2hhaW4iOiBudWxsLCAiY2hvcmQiOiBudWxsfV0=", "headers": {"id": "e42e8933-a097-4cfb-953c-fdf123553dc3", "eta": null, "lang": "py", "task": "execute_test_configuration", "group": null, "origin": "gen10361@vm", "shadow": null, "stamps": {}, "expires": null, "retries": 0, "root_id": "e42e8933-a097-4cfb-953c-fdf123553dc3", "argsrepr": "…", "parent_id": null, "timelimit": [null, null], "kwargsrepr": "…", "group_index": null, "test_run_id": "01a21c0a-3f7e-7efa-aee3-589b1b2a0e80", "ignore_result": null, "organization_id": "01a21c0a-2c6b-710d-b236-adbd469eb133", "stamped_headers": null, "replaced_task_nesting": 0}, "properties": {"argsrepr": "…", "priority": 0, "reply_to": "d1a6f6fe-8e02-3ca7-8d0a-138273cafbca", "kwargsrepr": "…", "delivery_tag": "b8355883-e23e-478b-b5fe-6f8e8c7f7b99", "body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_mode": 2, "correlation_id": "e42e8933-a097-4cfb-953c-fdf123553dc3"}, "content-type": "application/json", "content-encoding": "utf-8"}', '2026-11-27 08:06:03.39656+00');
INSERT INTO gateway.chord VALUES
	('47cdca4f-0752-42e3-b4bc-d389147ce5df', '01a21c0a-2c6b-710d-b236-adbd469eb133', 1, 0, '{"args": ["01a21c0a-3b77-70d6-a8dc-ab90e96695ec"], "task": "collect_results", "kwargs": {}, "options": {"chord": null, "headers": {"join_failures": true}, "root_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "task_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "group_id": null, "reply_to": "c2fff438-d0b8-38cf-976f-d52648fbc780", "group_index": null, "replaced_task_nesting": 1}, "immutable": false, "subtask_type": null}', NULL, NULL, '2026-11-27 08:06:02.459894+00'),
	('1f28f073-dbc1-4c17-8f35-3b37ce0f8024', '01a21c0a-2c6b-710d-b236-adbd469eb133', 1, 1, '{"args": ["01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"], "task": "collect_results", "kwargs": {}, "options": {"chord": null, "headers": {"join_failures": true}, "root_id": "bd289277-0551-4078-a203-5a482bddfe14", "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "group_id": null, "reply_to": "c2fff438-d0b8-38cf-976f-d52648fbc780", "group_index": null, "replaced_task_nesting": 1}, "immutable": false, "subtask_type": null}', NULL, '2026-11-27 08:06:02.566653+00', '2026-11-27 08:06:01.568572+00');
INSERT INTO gateway.chord_part VALUES
	('1f28f073-dbc1-4c17-8f35-3b37ce0f8024', 'c3b547a6-522b-4103-afe6-07d79a0b842d', 0, 'SUCCESS', '{"lane": 0, "tests": 2}');
INSERT INTO gateway.endpoint VALUES
	('01a21c0a-3565-7bef-bfe2-10d74001647e', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'app', '{"url": "http://application.recorded/", "auth": null, "name": "app", "model": null, "query": {}, "method": "POST", "preset": null, "stream": false, "system": null, "headers": {}, "request": {"input": "{{ input }}"}, "timeout": 30.0, "response": {"output": "$.output"}, "max_attempts": 3, "connect_timeout": 5.0, "max_concurrency": null, "templated_headers": {}, "first_byte_timeout": null, "max_response_bytes": 1048576, "requests_per_second": null}', NULL, '2026-11-27 08:06:00.802158+00', '2026-11-27 08:06:00.802158+00', NULL),
	('01a21c0a-3618-7f6f-99f4-740377329097', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'app', '{"url": "http://application.recorded/", "auth": null, "name": "app", "model": null, "query": {}, "method": "POST", "preset": null, "stream": false, "system": null, "headers": {}, "request": {"input": "{{ input }}"}, "timeout": 30.0, "response": {"output": "$.output"}, "max_attempts": 3, "connect_timeout": 5.0, "max_concurrency": null, "templated_headers": {}, "first_byte_timeout": null, "max_response_bytes": 1048576, "requests_per_second": null}', NULL, '2026-11-27 08:06:00.98285+00', '2026-11-27 08:06:00.98285+00', NULL);
INSERT INTO gateway.event_log VALUES
	(true, 'd150d98f-0339-4d75-b9dd-94d49f59f898', '0', 0);
INSERT INTO gateway.lane VALUES
	('01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', 0, '01a21c0a-2c6b-710d-b236-adbd469eb133', 2, 0, 'c3b547a6-522b-4103-afe6-07d79a0b842d', NULL, NULL, '2026-11-27 08:06:01.568572+00', '2026-11-27 08:06:02.08541+00'),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 0, '01a21c0a-2c6b-710d-b236-adbd469eb133', 4, 0, 'aedebdb1-bd7e-4e42-a279-479de19d14a9', '2ac303fd-1826-4af4-9f40-8dccf4f6ff3d', '2026-11-27 08:06:04.695325+00', '2026-11-27 08:06:02.459894+00', NULL);
INSERT INTO gateway.organization VALUES
	('01a21c0a-2c6b-710d-b236-adbd469eb133', 'recorded', '2026-11-27 08:05:58.505625+00', 'default');
INSERT INTO gateway.run_group VALUES
	('01a21c0a-3f2a-7391-9c43-e182806091cf', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', NULL, 'queued', 1, '389fc0aa-a1ee-480b-ac5f-d44791231152', 1, 0, NULL, NULL, '2026-11-27 08:06:03.271414+00', NULL, NULL, '01a21c0a-3f39-72d8-abfc-275df34c86bd', NULL, NULL);
INSERT INTO gateway.stream_token_key OVERRIDING SYSTEM VALUE VALUES
	(1, '\x415cc9f4f9efea6c43ce55a2f4cf7074a56350883facd6df0ac66d01c7f89f88', '2026-11-27 08:05:30.62079+00');
INSERT INTO gateway.sweep_step VALUES
	('prune_events', 'worker-7a8e9344@test', '2026-11-27 08:05:54.323436+00', 0.006721104000007472, 0, 0, NULL, NULL, NULL),
	('prune_results', 'worker-7a8e9344@test', '2026-11-27 08:05:54.346991+00', 0.013926849999961632, 0, 0, NULL, NULL, NULL),
	('prune_runs', 'worker-7a8e9344@test', '2026-11-27 08:05:54.348953+00', 0.0016784009999355476, 0, 0, NULL, NULL, NULL),
	('prune_finished_tasks', 'worker-7a8e9344@test', '2026-11-27 08:05:54.370819+00', 0.014147087999845098, 0, 0, NULL, NULL, NULL),
	('prune_finished_chords', 'worker-7a8e9344@test', '2026-11-27 08:05:54.377696+00', 0.0031412299999828974, 0, 0, NULL, NULL, NULL),
	('prune_deliveries', 'worker-7a8e9344@test', '2026-11-27 08:05:54.383908+00', 0.004572572999904878, 0, 0, NULL, NULL, NULL),
	('prune_idempotency_keys', 'worker-7a8e9344@test', '2026-11-27 08:05:54.388418+00', 0.002243972999849575, 0, 0, NULL, NULL, NULL),
	('prune_audit_events', 'worker-7a8e9344@test', '2026-11-27 08:05:54.389427+00', 0.0008269519998975738, 0, 0, NULL, NULL, NULL),
	('plan_runs', 'worker-7a8e9344@test', '2026-11-27 08:06:02.942446+00', 0.00038070699997660995, 0, 0, NULL, NULL, NULL),
	('settle_runs', 'worker-7a8e9344@test', '2026-11-27 08:06:02.943039+00', 0.00019386899998607987, 0, 0, NULL, NULL, NULL),
	('revive_runs', 'worker-7a8e9344@test', '2026-11-27 08:06:02.943534+00', 0.0001844450000589859, 0, 0, NULL, NULL, NULL),
	('settle_groups', 'worker-7a8e9344@test', '2026-11-27 08:06:02.943977+00', 0.0002526660000512493, 0, 0, NULL, NULL, NULL),
	('end_lost_tasks', 'worker-7a8e9344@test', '2026-11-27 08:06:02.951383+00', 0.003918649000070218, 0, 0, NULL, NULL, NULL),
	('return_chord_parts', 'worker-7a8e9344@test', '2026-11-27 08:06:02.959677+00', 0.00016992299993034976, 0, 0, NULL, NULL, NULL),
	('send_chord_bodies', 'worker-7a8e9344@test', '2026-11-27 08:06:02.965707+00', 0.0033657949998087133, 0, 0, NULL, NULL, NULL),
	('remove_dead_nodes', 'worker-7a8e9344@test', '2026-11-27 08:06:02.966795+00', 0.00028566500009219453, 0, 0, NULL, NULL, NULL),
	('skip_webhooks', 'worker-7a8e9344@test', '2026-11-27 08:06:02.969474+00', 0.0008226259999446484, 0, 0, NULL, NULL, NULL);
INSERT INTO gateway.task VALUES
	('243abbf9-9012-41da-9e1b-e0d5869cc243', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'echo', 'SUCCESS', 3, '"Message: ended, Organization: 01a21c0a-2c6b-710d-b236-adbd469eb133, User: unknown"', NULL, NULL, NULL, 0, 'celery', 'worker-7a8e9344@test', '243abbf9-9012-41da-9e1b-e0d5869cc243', NULL, NULL, '[]', NULL, NULL, 0, NULL, NULL, '2026-11-27 08:06:00.061812+00', '2026-11-27 08:06:00.70727+00', '2026-11-27 08:06:00.727566+00', true, NULL),
	('bd289277-0551-4078-a203-5a482bddfe14', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'execute_test_configuration', 'SUCCESS', 3, '{"counts": {"total": 2, "failed": 0, "passed": 2, "errored": 0, "unscored": 0, "cancelled": 0}, "status": "completed", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', NULL, NULL, NULL, 0, 'celery', 'worker-7a8e9344@test', 'bd289277-0551-4078-a203-5a482bddfe14', NULL, NULL, '[]', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', NULL, 0, NULL, NULL, '2026-11-27 08:06:01.11244+00', '2026-11-27 08:06:01.238775+00', '2026-11-27 08:06:02.054941+00', true, NULL),
	('6f9d4946-44fb-42d9-9b3d-9fae1cc58392', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'execute_test_configuration', 'STARTED', 2, NULL, NULL, NULL, NULL, 0, 'celery', 'worker-7a8e9344@test', '6f9d4946-44fb-42d9-9b3d-9fae1cc58392', NULL, NULL, '[]', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', NULL, 0, NULL, NULL, '2026-11-27 08:06:02.307632+00', '2026-11-27 08:06:02.443232+00', NULL, true, NULL),
	('c3b547a6-522b-4103-afe6-07d79a0b842d', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'run_lane', 'SUCCESS', 3, '{"lane": 0, "tests": 2}', NULL, NULL, NULL, 0, 'celery', 'worker-7a8e9344@test', 'bd289277-0551-4078-a203-5a482bddfe14', 'bd289277-0551-4078-a203-5a482bddfe14', '1f28f073-dbc1-4c17-8f35-3b37ce0f8024', '[]', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', NULL, 0, NULL, NULL, '2026-11-27 08:06:01.568572+00', '2026-11-27 08:06:01.779664+00', '2026-11-27 08:06:02.549817+00', true, NULL),
	('aedebdb1-bd7e-4e42-a279-479de19d14a9', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'run_lane', 'STARTED', 2, NULL, NULL, NULL, NULL, 0, 'celery', 'worker-7a8e9344@test', '6f9d4946-44fb-42d9-9b3d-9fae1cc58392', '6f9d4946-44fb-42d9-9b3d-9fae1cc58392', '47cdca4f-0752-42e3-b4bc-d389147ce5df', '[]', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', NULL, 0, NULL, NULL, '2026-11-27 08:06:02.459894+00', '2026-11-27 08:06:02.652128+00', NULL, true, NULL),
	('6c86f882-b568-4d62-9a7e-72fc1b096d15', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'echo', 'PENDING', 1, NULL, NULL, NULL, NULL, 0, 'celery', NULL, '6c86f882-b568-4d62-9a7e-72fc1b096d15', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, '2026-11-27 08:06:03.164146+00', NULL, NULL, true, NULL),
	('3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'echo', 'PENDING', 1, NULL, NULL, NULL, NULL, 0, 'celery', NULL, '3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, '2026-11-27 08:06:03.205704+00', NULL, NULL, true, NULL),
	('d855a283-5297-4da5-a410-049c87bf2537', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'echo', 'PENDING', 1, NULL, NULL, NULL, NULL, 0, 'celery', NULL, 'd855a283-5297-4da5-a410-049c87bf2537', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, '2026-11-27 08:06:03.224424+00', NULL, NULL, true, NULL),
	('d70044b1-99dd-42cc-baa8-d6207e9b388b', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'execute_test_configuration', 'PENDING', 1, NULL, NULL, NULL, NULL, 0, 'celery', NULL, '389fc0aa-a1ee-480b-ac5f-d44791231152', '389fc0aa-a1ee-480b-ac5f-d44791231152', NULL, NULL, '01a21c0a-3f39-72d8-abfc-275df34c86bd', NULL, 0, NULL, NULL, '2026-11-27 08:06:03.271414+00', NULL, NULL, false, NULL),
	('389fc0aa-a1ee-480b-ac5f-d44791231152', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'execute_test_set', 'PENDING', 1, NULL, NULL, NULL, NULL, 0, 'celery', NULL, '389fc0aa-a1ee-480b-ac5f-d44791231152', NULL, NULL, NULL, NULL, '01a21c0a-3f2a-7391-9c43-e182806091cf', 0, NULL, NULL, '2026-11-27 08:06:03.271414+00', NULL, NULL, true, NULL),
	('e42e8933-a097-4cfb-953c-fdf123553dc3', '01a21c0a-2c6b-710d-b236-adbd469eb133', NULL, 'execute_test_configuration', 'PENDING', 1, NULL, NULL, NULL, NULL, 0, 'celery', NULL, 'e42e8933-a097-4cfb-953c-fdf123553dc3', NULL, NULL, NULL, '01a21c0a-3f7e-7efa-aee3-589b1b2a0e80', NULL, 0, NULL, NULL, '2026-11-27 08:06:03.374172+00', NULL, NULL, true, NULL);
INSERT INTO gateway.task_event OVERRIDING SYSTEM VALUE VALUES
	(1, '893', '01a21c0a-2c6b-710d-b236-adbd469eb133', '243abbf9-9012-41da-9e1b-e0d5869cc243', 1, 'task.pending', '{"name": "echo", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "243abbf9-9012-41da-9e1b-e0d5869cc243"}', '2026-11-27 08:06:00.588304+00'),
	(2, '896', '01a21c0a-2c6b-710d-b236-adbd469eb133', '243abbf9-9012-41da-9e1b-e0d5869cc243', 2, 'task.started', '{"name": "echo", "queue": "celery", "status": "STARTED", "worker": "worker-7a8e9344@test", "retries": 0, "task_id": "243abbf9-9012-41da-9e1b-e0d5869cc243"}', '2026-11-27 08:06:00.708798+00'),
	(3, '897', '01a21c0a-2c6b-710d-b236-adbd469eb133', '243abbf9-9012-41da-9e1b-e0d5869cc243', 3, 'task.succeeded', '{"name": "echo", "queue": "celery", "result": "Message: ended, Organization: 01a21c0a-2c6b-710d-b236-adbd469eb133, User: unknown", "status": "SUCCESS", "worker": "worker-7a8e9344@test", "retries": 0, "task_id": "243abbf9-9012-41da-9e1b-e0d5869cc243"}', '2026-11-27 08:06:00.727854+00'),
	(4, '916', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', 1, 'test_run.queued', '{"counts": {"failed": 0, "passed": 0, "errored": 0, "pending": 0, "unscored": 0, "cancelled": 0}, "status": "queued", "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630", "test_configuration_id": "01a21c0a-3681-728b-9133-c7d572be3f7d"}', '2026-11-27 08:06:01.191843+00'),
	(5, '916', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'bd289277-0551-4078-a203-5a482bddfe14', 1, 'task.pending', '{"name": "execute_test_configuration", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', '2026-11-27 08:06:01.203403+00'),
	(6, '919', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'bd289277-0551-4078-a203-5a482bddfe14', 2, 'task.started', '{"name": "execute_test_configuration", "queue": "celery", "status": "STARTED", "worker": "worker-7a8e9344@test", "retries": 0, "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', '2026-11-27 08:06:01.238925+00'),
	(7, '932', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', 2, 'test_run.started', '{"counts": {"total": 2, "failed": 0, "passed": 0, "errored": 0, "pending": 2, "unscored": 0, "cancelled": 0}, "status": "running", "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630", "test_configuration_id": "01a21c0a-3681-728b-9133-c7d572be3f7d"}', '2026-11-27 08:06:01.626918+00'),
	(8, '932', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'c3b547a6-522b-4103-afe6-07d79a0b842d', 1, 'task.pending', '{"name": "run_lane", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "c3b547a6-522b-4103-afe6-07d79a0b842d", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', '2026-11-27 08:06:01.686825+00'),
	(9, '936', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'c3b547a6-522b-4103-afe6-07d79a0b842d', 2, 'task.started', '{"name": "run_lane", "queue": "celery", "status": "STARTED", "worker": "worker-7a8e9344@test", "retries": 0, "task_id": "c3b547a6-522b-4103-afe6-07d79a0b842d", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', '2026-11-27 08:06:01.791101+00'),
	(10, '950', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', 3, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-364e-7510-894d-f1bda074b226", "attempts": 1, "position": 0, "latency_ms": 24.0, "http_status": 200, "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', '2026-11-27 08:06:02.026801+00'),
	(11, '950', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', 4, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-364f-70c7-99c6-086413c7550b", "attempts": 1, "position": 1, "latency_ms": 14.0, "http_status": 200, "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', '2026-11-27 08:06:02.026992+00'),
	(12, '950', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', 5, 'test_run.progress', '{"counts": {"total": 2, "failed": 0, "passed": 2, "errored": 0, "pending": 0, "unscored": 0, "cancelled": 0}, "status": "running", "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630", "test_configuration_id": "01a21c0a-3681-728b-9133-c7d572be3f7d"}', '2026-11-27 08:06:02.027672+00'),
	(13, '950', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', 6, 'test_run.completed', '{"counts": {"total": 2, "failed": 0, "passed": 2, "errored": 0, "pending": 0, "unscored": 0, "cancelled": 0}, "status": "completed", "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630", "test_configuration_id": "01a21c0a-3681-728b-9133-c7d572be3f7d"}', '2026-11-27 08:06:02.040492+00'),
	(14, '950', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'bd289277-0551-4078-a203-5a482bddfe14', 3, 'task.succeeded', '{"name": "execute_test_configuration", "queue": "celery", "result": {"counts": {"total": 2, "failed": 0, "passed": 2, "errored": 0, "unscored": 0, "cancelled": 0}, "status": "completed", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}, "status": "SUCCESS", "worker": "worker-7a8e9344@test", "retries": 0, "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', '2026-11-27 08:06:02.062244+00'),
	(15, '959', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 1, 'test_run.queued', '{"counts": {"failed": 0, "passed": 0, "errored": 0, "pending": 0, "unscored": 0, "cancelled": 0}, "status": "queued", "task_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec", "test_configuration_id": "01a21c0a-35fb-736d-9734-229c52653482"}', '2026-11-27 08:06:02.360277+00'),
	(16, '959', '01a21c0a-2c6b-710d-b236-adbd469eb133', '6f9d4946-44fb-42d9-9b3d-9fae1cc58392', 1, 'task.pending', '{"name": "execute_test_configuration", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.378645+00'),
	(17, '972', '01a21c0a-2c6b-710d-b236-adbd469eb133', '6f9d4946-44fb-42d9-9b3d-9fae1cc58392', 2, 'task.started', '{"name": "execute_test_configuration", "queue": "celery", "status": "STARTED", "worker": "worker-7a8e9344@test", "retries": 0, "task_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.443391+00'),
	(18, '974', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 2, 'test_run.started', '{"counts": {"total": 12, "failed": 0, "passed": 0, "errored": 0, "pending": 12, "unscored": 0, "cancelled": 0}, "status": "running", "task_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec", "test_configuration_id": "01a21c0a-35fb-736d-9734-229c52653482"}', '2026-11-27 08:06:02.537454+00'),
	(19, '977', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'c3b547a6-522b-4103-afe6-07d79a0b842d', 3, 'task.succeeded', '{"name": "run_lane", "queue": "celery", "result": {"lane": 0, "tests": 2}, "status": "SUCCESS", "worker": "worker-7a8e9344@test", "retries": 0, "task_id": "c3b547a6-522b-4103-afe6-07d79a0b842d", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630"}', '2026-11-27 08:06:02.550037+00'),
	(20, '974', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'aedebdb1-bd7e-4e42-a279-479de19d14a9', 1, 'task.pending', '{"name": "run_lane", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "aedebdb1-bd7e-4e42-a279-479de19d14a9", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.574273+00'),
	(21, '982', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'aedebdb1-bd7e-4e42-a279-479de19d14a9', 2, 'task.started', '{"name": "run_lane", "queue": "celery", "status": "STARTED", "worker": "worker-7a8e9344@test", "retries": 0, "task_id": "aedebdb1-bd7e-4e42-a279-479de19d14a9", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.652294+00'),
	(22, '992', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 3, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35b8-7dc7-b291-f89035b33cbf", "attempts": 1, "position": 0, "latency_ms": 39.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.819829+00'),
	(23, '992', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 4, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35bb-7b54-90ea-926dc94ac77e", "attempts": 1, "position": 2, "latency_ms": 38.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.820042+00'),
	(24, '992', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 5, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35bc-7ffd-befa-02c20717cc92", "attempts": 1, "position": 3, "latency_ms": 38.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.820053+00'),
	(25, '992', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 6, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35ba-7e72-a390-482fe928ce15", "attempts": 1, "position": 1, "latency_ms": 38.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.820061+00'),
	(26, '992', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 7, 'test_run.progress', '{"counts": {"total": 12, "failed": 0, "passed": 4, "errored": 0, "pending": 8, "unscored": 0, "cancelled": 0}, "status": "running", "task_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec", "test_configuration_id": "01a21c0a-35fb-736d-9734-229c52653482"}', '2026-11-27 08:06:02.820777+00'),
	(27, '995', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 8, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35bd-76b0-b1fc-b84f37cd268f", "attempts": 1, "position": 4, "latency_ms": 44.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.889515+00'),
	(28, '995', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 9, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35c1-71ea-8a4a-0c7a8725f522", "attempts": 1, "position": 6, "latency_ms": 44.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.889604+00'),
	(29, '995', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 10, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35be-7e9e-9447-61692c9b8de7", "attempts": 1, "position": 5, "latency_ms": 44.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.889616+00'),
	(30, '995', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 11, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35c2-7193-8b48-25b4740a6190", "attempts": 1, "position": 7, "latency_ms": 44.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.889625+00'),
	(31, '995', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 12, 'test_run.progress', '{"counts": {"total": 12, "failed": 0, "passed": 8, "errored": 0, "pending": 4, "unscored": 0, "cancelled": 0}, "status": "running", "task_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec", "test_configuration_id": "01a21c0a-35fb-736d-9734-229c52653482"}', '2026-11-27 08:06:02.889889+00'),
	(32, '1003', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 13, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35c2-79cd-ba87-082253007534", "attempts": 1, "position": 8, "latency_ms": 52.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.961073+00'),
	(33, '1003', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 14, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35c3-763f-a5e2-eeff260fd0fc", "attempts": 1, "position": 10, "latency_ms": 62.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.961123+00'),
	(34, '1003', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 15, 'test_result.finished', '{"repeat": 1, "status": "pass", "test_id": "01a21c0a-35c2-722d-b7cd-661a17cbe8e6", "attempts": 1, "position": 9, "latency_ms": 63.0, "http_status": 200, "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec"}', '2026-11-27 08:06:02.961133+00'),
	(35, '1003', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3b77-70d6-a8dc-ab90e96695ec', 16, 'test_run.progress', '{"counts": {"total": 12, "failed": 0, "passed": 11, "errored": 0, "pending": 1, "unscored": 0, "cancelled": 0}, "status": "running", "task_id": "6f9d4946-44fb-42d9-9b3d-9fae1cc58392", "test_run_id": "01a21c0a-3b77-70d6-a8dc-ab90e96695ec", "test_configuration_id": "01a21c0a-35fb-736d-9734-229c52653482"}', '2026-11-27 08:06:02.961346+00'),
	(36, '1008', '01a21c0a-2c6b-710d-b236-adbd469eb133', '6c86f882-b568-4d62-9a7e-72fc1b096d15', 1, 'task.pending', '{"name": "echo", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "6c86f882-b568-4d62-9a7e-72fc1b096d15"}', '2026-11-27 08:06:03.185786+00'),
	(37, '1009', '01a21c0a-2c6b-710d-b236-adbd469eb133', '3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9', 1, 'task.pending', '{"name": "echo", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "3a686ad0-10f8-4a7f-8a29-b665b8a0a1d9"}', '2026-11-27 08:06:03.208245+00'),
	(39, '1014', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3f2a-7391-9c43-e182806091cf', 1, 'run_group.queued', '{"total": 1, "status": "queued", "task_id": "389fc0aa-a1ee-480b-ac5f-d44791231152", "finished": 0, "run_group_id": "01a21c0a-3f2a-7391-9c43-e182806091cf"}', '2026-11-27 08:06:03.306851+00'),
	(40, '1014', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3f39-72d8-abfc-275df34c86bd', 1, 'test_run.queued', '{"counts": {"failed": 0, "passed": 0, "errored": 0, "pending": 0, "unscored": 0, "cancelled": 0}, "status": "queued", "task_id": "d70044b1-99dd-42cc-baa8-d6207e9b388b", "test_run_id": "01a21c0a-3f39-72d8-abfc-275df34c86bd", "run_group_id": "01a21c0a-3f2a-7391-9c43-e182806091cf", "test_configuration_id": "01a21c0a-35fb-736d-9734-229c52653482"}', '2026-11-27 08:06:03.322695+00'),
	(41, '1014', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'd70044b1-99dd-42cc-baa8-d6207e9b388b', 1, 'task.pending', '{"name": "execute_test_configuration", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "d70044b1-99dd-42cc-baa8-d6207e9b388b", "test_run_id": "01a21c0a-3f39-72d8-abfc-275df34c86bd"}', '2026-11-27 08:06:03.329688+00'),
	(42, '1014', '01a21c0a-2c6b-710d-b236-adbd469eb133', '389fc0aa-a1ee-480b-ac5f-d44791231152', 1, 'task.pending', '{"name": "execute_test_set", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "389fc0aa-a1ee-480b-ac5f-d44791231152"}', '2026-11-27 08:06:03.333134+00'),
	(38, '1011', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'd855a283-5297-4da5-a410-049c87bf2537', 1, 'task.pending', '{"name": "echo", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "d855a283-5297-4da5-a410-049c87bf2537"}', '2026-11-27 08:06:03.227801+00'),
	(43, '1016', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3f7e-7efa-aee3-589b1b2a0e80', 1, 'test_run.queued', '{"counts": {"failed": 0, "passed": 0, "errored": 0, "pending": 0, "unscored": 0, "cancelled": 0}, "status": "queued", "task_id": "e42e8933-a097-4cfb-953c-fdf123553dc3", "test_run_id": "01a21c0a-3f7e-7efa-aee3-589b1b2a0e80", "test_configuration_id": "01a21c0a-35fb-736d-9734-229c52653482"}', '2026-11-27 08:06:03.390736+00'),
	(44, '1016', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'e42e8933-a097-4cfb-953c-fdf123553dc3', 1, 'task.pending', '{"name": "execute_test_configuration", "queue": "celery", "status": "PENDING", "retries": 0, "task_id": "e42e8933-a097-4cfb-953c-fdf123553dc3", "test_run_id": "01a21c0a-3f7e-7efa-aee3-589b1b2a0e80"}', '2026-11-27 08:06:03.396423+00');
INSERT INTO gateway.test VALUES
	('01a21c0a-35b8-7dc7-b291-f89035b33cbf', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 0, '"say 0"', '"0"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35ba-7e72-a390-482fe928ce15', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 1, '"say 1"', '"1"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35bb-7b54-90ea-926dc94ac77e', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 2, '"say 2"', '"2"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35bc-7ffd-befa-02c20717cc92', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 3, '"say 3"', '"3"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35bd-76b0-b1fc-b84f37cd268f', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 4, '"say 4"', '"4"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35be-7e9e-9447-61692c9b8de7', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 5, '"say 5"', '"5"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35c1-71ea-8a4a-0c7a8725f522', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 6, '"say 6"', '"6"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35c2-7193-8b48-25b4740a6190', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 7, '"say 7"', '"7"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35c2-79cd-ba87-082253007534', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 8, '"say 8"', '"8"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35c2-722d-b7cd-661a17cbe8e6', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 9, '"say 9"', '"9"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35c3-763f-a5e2-eeff260fd0fc', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 10, '"say 10"', '"10"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-35c3-7f9c-b247-259e454b9fef', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', 11, '"wait"', '"wait"', '[]', '{}', '2026-11-27 08:06:00.846162+00', NULL, '{}', NULL),
	('01a21c0a-364e-7510-894d-f1bda074b226', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-363a-703d-af89-1197ba66d9bc', 0, '"say 0"', '"0"', '[]', '{}', '2026-11-27 08:06:01.011989+00', NULL, '{}', NULL),
	('01a21c0a-364f-70c7-99c6-086413c7550b', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-363a-703d-af89-1197ba66d9bc', 1, '"say 1"', '"1"', '[]', '{}', '2026-11-27 08:06:01.011989+00', NULL, '{}', NULL);
INSERT INTO gateway.test_configuration VALUES
	('01a21c0a-35fb-736d-9734-229c52653482', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'configuration', '01a21c0a-3565-7bef-bfe2-10d74001647e', '01a21c0a-35a0-7f91-a644-8b4d9648ebd0', '{"mode": "parallel", "sample": null, "metrics": [{"name": null, "not_": false, "type": "equals", "value": null, "weight": 1.0, "threshold": null, "threshold_operator": ">="}], "repeats": 1, "concurrency": 4, "max_failures": null, "pass_threshold": null, "per_test_timeout": 30.0}', '2026-11-27 08:06:00.932329+00', '2026-11-27 08:06:00.932329+00', NULL),
	('01a21c0a-3681-728b-9133-c7d572be3f7d', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'configuration', '01a21c0a-3618-7f6f-99f4-740377329097', '01a21c0a-363a-703d-af89-1197ba66d9bc', '{"mode": "parallel", "sample": null, "metrics": [{"name": null, "not_": false, "type": "equals", "value": null, "weight": 1.0, "threshold": null, "threshold_operator": ">="}], "repeats": 1, "concurrency": 4, "max_failures": null, "pass_threshold": null, "per_test_timeout": 30.0}', '2026-11-27 08:06:01.072096+00', '2026-11-27 08:06:01.072096+00', NULL);
INSERT INTO gateway.test_result VALUES
	('01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', '01a21c0a-364e-7510-894d-f1bda074b226', '01a21c0a-2c6b-710d-b236-adbd469eb133', 0, 'pass', '{"output": "0"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''0'', the output is ''0''", "threshold": null, "duration_ms": 0.043}], "status": "pass"}', 24, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.025327+00', 1),
	('01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', '01a21c0a-364f-70c7-99c6-086413c7550b', '01a21c0a-2c6b-710d-b236-adbd469eb133', 1, 'pass', '{"output": "1"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''1'', the output is ''1''", "threshold": null, "duration_ms": 0.01}], "status": "pass"}', 14, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.025365+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35c3-7f9c-b247-259e454b9fef', '01a21c0a-2c6b-710d-b236-adbd469eb133', 11, 'pending', NULL, NULL, NULL, 0, NULL, NULL, '2ac303fd-1826-4af4-9f40-8dccf4f6ff3d', '2026-11-27 08:06:04.830653+00', NULL, 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35bd-76b0-b1fc-b84f37cd268f', '01a21c0a-2c6b-710d-b236-adbd469eb133', 4, 'pass', '{"output": "4"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''4'', the output is ''4''", "threshold": null, "duration_ms": 0.024}], "status": "pass"}', 44, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.889115+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35c1-71ea-8a4a-0c7a8725f522', '01a21c0a-2c6b-710d-b236-adbd469eb133', 6, 'pass', '{"output": "6"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''6'', the output is ''6''", "threshold": null, "duration_ms": 0.027}], "status": "pass"}', 44, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.889155+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35c2-79cd-ba87-082253007534', '01a21c0a-2c6b-710d-b236-adbd469eb133', 8, 'pass', '{"output": "8"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''8'', the output is ''8''", "threshold": null, "duration_ms": 0.019}], "status": "pass"}', 52, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.960664+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35c3-763f-a5e2-eeff260fd0fc', '01a21c0a-2c6b-710d-b236-adbd469eb133', 10, 'pass', '{"output": "10"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''10'', the output is ''10''", "threshold": null, "duration_ms": 0.019}], "status": "pass"}', 62, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.960706+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35c2-722d-b7cd-661a17cbe8e6', '01a21c0a-2c6b-710d-b236-adbd469eb133', 9, 'pass', '{"output": "9"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''9'', the output is ''9''", "threshold": null, "duration_ms": 0.008}], "status": "pass"}', 63, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.960713+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35b8-7dc7-b291-f89035b33cbf', '01a21c0a-2c6b-710d-b236-adbd469eb133', 0, 'pass', '{"output": "0"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''0'', the output is ''0''", "threshold": null, "duration_ms": 0.025}], "status": "pass"}', 39, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.8112+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35bb-7b54-90ea-926dc94ac77e', '01a21c0a-2c6b-710d-b236-adbd469eb133', 2, 'pass', '{"output": "2"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''2'', the output is ''2''", "threshold": null, "duration_ms": 0.009}], "status": "pass"}', 38, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.811249+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35bc-7ffd-befa-02c20717cc92', '01a21c0a-2c6b-710d-b236-adbd469eb133', 3, 'pass', '{"output": "3"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''3'', the output is ''3''", "threshold": null, "duration_ms": 0.006}], "status": "pass"}', 38, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.811256+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35ba-7e72-a390-482fe928ce15', '01a21c0a-2c6b-710d-b236-adbd469eb133', 1, 'pass', '{"output": "1"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''1'', the output is ''1''", "threshold": null, "duration_ms": 0.005}], "status": "pass"}', 38, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.811262+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35be-7e9e-9447-61692c9b8de7', '01a21c0a-2c6b-710d-b236-adbd469eb133', 5, 'pass', '{"output": "5"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''5'', the output is ''5''", "threshold": null, "duration_ms": 0.005}], "status": "pass"}', 44, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.889162+00', 1),
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-35c2-7193-8b48-25b4740a6190', '01a21c0a-2c6b-710d-b236-adbd469eb133', 7, 'pass', '{"output": "7"}', '{"score": 1.0, "reason": null, "scores": [{"name": "equals", "turn": null, "type": "equals", "score": 1.0, "passed": true, "reason": "expected ''7'', the output is ''7''", "threshold": null, "duration_ms": 0.004}], "status": "pass"}', 44, 1, 200, NULL, NULL, NULL, '2026-11-27 08:06:02.889167+00', 1);
INSERT INTO gateway.test_run VALUES
	('01a21c0a-3b77-70d6-a8dc-ab90e96695ec', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35fb-736d-9734-229c52653482', NULL, '6f9d4946-44fb-42d9-9b3d-9fae1cc58392', 'running', 16, 12, 1, 11, 0, 0, 0, 0, '{"endpoint": {"url": "http://application.recorded/", "auth": null, "name": "app", "model": null, "query": {}, "method": "POST", "preset": null, "stream": false, "system": null, "headers": {}, "request": {"input": "{{ input }}"}, "timeout": 30.0, "response": {"output": "$.output"}, "max_attempts": 3, "connect_timeout": 5.0, "max_concurrency": null, "templated_headers": {}, "first_byte_timeout": null, "max_response_bytes": 1048576, "requests_per_second": null}, "endpoint_id": "01a21c0a-3565-7bef-bfe2-10d74001647e", "configuration": {"mode": "parallel", "sample": null, "metrics": [{"name": null, "not_": false, "type": "equals", "value": null, "weight": 1.0, "threshold": null, "threshold_operator": ">="}], "repeats": 1, "concurrency": 4, "max_failures": null, "pass_threshold": null, "per_test_timeout": 30.0}, "named_metrics": {}, "test_set_version": 1}', NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-28 08:06:02.307632+00', '2026-11-27 08:06:02.307632+00', '2026-11-27 08:06:02.459894+00', NULL, NULL, false, 12, NULL),
	('01a21c0a-3f39-72d8-abfc-275df34c86bd', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35fb-736d-9734-229c52653482', '01a21c0a-3f2a-7391-9c43-e182806091cf', 'd70044b1-99dd-42cc-baa8-d6207e9b388b', 'queued', 1, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-28 08:06:03.271414+00', '2026-11-27 08:06:03.271414+00', NULL, NULL, 0, false, 12, NULL),
	('01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3681-728b-9133-c7d572be3f7d', NULL, 'bd289277-0551-4078-a203-5a482bddfe14', 'completed', 6, 2, 0, 2, 0, 0, 0, 0, '{"endpoint": {"url": "http://application.recorded/", "auth": null, "name": "app", "model": null, "query": {}, "method": "POST", "preset": null, "stream": false, "system": null, "headers": {}, "request": {"input": "{{ input }}"}, "timeout": 30.0, "response": {"output": "$.output"}, "max_attempts": 3, "connect_timeout": 5.0, "max_concurrency": null, "templated_headers": {}, "first_byte_timeout": null, "max_response_bytes": 1048576, "requests_per_second": null}, "endpoint_id": "01a21c0a-3618-7f6f-99f4-740377329097", "configuration": {"mode": "parallel", "sample": null, "metrics": [{"name": null, "not_": false, "type": "equals", "value": null, "weight": 1.0, "threshold": null, "threshold_operator": ">="}], "repeats": 1, "concurrency": 4, "max_failures": null, "pass_threshold": null, "per_test_timeout": 30.0}, "named_metrics": {}, "test_set_version": 1}', NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-28 08:06:01.11244+00', '2026-11-27 08:06:01.11244+00', '2026-11-27 08:06:01.568572+00', '2026-11-27 08:06:02.039719+00', NULL, false, 2, NULL),
	('01a21c0a-3f7e-7efa-aee3-589b1b2a0e80', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-35fb-736d-9734-229c52653482', NULL, 'e42e8933-a097-4cfb-953c-fdf123553dc3', 'queued', 1, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-28 08:06:03.374172+00', '2026-11-27 08:06:03.374172+00', NULL, NULL, NULL, false, 12, NULL);
INSERT INTO gateway.test_set VALUES
	('01a21c0a-35a0-7f91-a644-8b4d9648ebd0', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'questions', '{}', '2026-11-27 08:06:00.846162+00', '2026-11-27 08:06:00.846162+00', NULL, 1),
	('01a21c0a-363a-703d-af89-1197ba66d9bc', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'questions', '{}', '2026-11-27 08:06:01.011989+00', '2026-11-27 08:06:01.011989+00', NULL, 1);
INSERT INTO gateway.webhook_attempt VALUES
	('01a21c0a-3b97-7261-a9e7-90c47d592fa5', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3a44-7c09-8725-09744e6db500', 1, 503, 'the receiver answered HTTP 503', NULL, 21.627, '2026-11-27 08:06:02.389719+00');
INSERT INTO gateway.webhook_delivery VALUES
	('01a21c0a-3a44-7c09-8725-09744e6db500', '01a21c0a-2c6b-710d-b236-adbd469eb133', '01a21c0a-3230-73e1-81a8-1fa7d145657c', NULL, 'test_run.completed', '01a21c0a-36e5-7aeb-ad5b-54d5aa26d630', '{"data": {"seq": 6, "links": {"self": "/v1/test-runs/01a21c0a-36e5-7aeb-ad5b-54d5aa26d630", "results": "/v1/test-runs/01a21c0a-36e5-7aeb-ad5b-54d5aa26d630/results", "statistics": "/v1/test-runs/01a21c0a-36e5-7aeb-ad5b-54d5aa26d630/statistics"}, "counts": {"total": 2, "failed": 0, "passed": 2, "errored": 0, "pending": 0, "unscored": 0, "cancelled": 0}, "status": "completed", "task_id": "bd289277-0551-4078-a203-5a482bddfe14", "test_run_id": "01a21c0a-36e5-7aeb-ad5b-54d5aa26d630", "organization_id": "01a21c0a-2c6b-710d-b236-adbd469eb133", "test_configuration_id": "01a21c0a-3681-728b-9133-c7d572be3f7d"}, "type": "test_run.completed", "timestamp": "2026-11-27T08:06:02.040492Z"}', 'pending', 1, '2026-11-27 08:06:07.546129+00', NULL, NULL, '2026-11-27 08:06:02.024596+00', NULL, 1, 503, 'the receiver answered HTTP 503');
INSERT INTO gateway.webhook_endpoint VALUES
	('01a21c0a-3230-73e1-81a8-1fa7d145657c', '01a21c0a-2c6b-710d-b236-adbd469eb133', 'http://receiver.recorded/runs', NULL, '{test_run.*}', '\x010788278d0e2bca878b74bb74b8036291637c3d97837ee4f74833bbadedf464b9e8f39eda3efbf0c61c81d883f31e1ba2cd9c8389fb8a984a907365fe38ee0991f53c15f4b2e8f081b1e04e2da26a9385e2e92d3579c0eaf48c6fb35a434e1d396174d50f66e05e69f62358bdf7ef120bd0', NULL, NULL, NULL, '2026-11-27 08:06:02.389719+00', '2026-11-27 08:05:59.957648+00', '2026-11-27 08:05:59.957648+00', 'subscription', NULL, 1, false, NULL, 0);
INSERT INTO gateway.worker_heartbeat VALUES
	('worker-7a8e9344@test', 10401, '2026-11-27 08:05:54.075231+00', '2026-11-27 08:06:02.199876+00', 'prefork', 2, '{celery}', '[{"id": "c3b547a6-522b-4103-afe6-07d79a0b842d", "pid": 10476, "name": "run_lane", "started_at": "2026-11-27T08:06:01.749032+00:00"}]');
SELECT pg_catalog.setval('gateway.broker_message_id_seq', 11, true);
SELECT pg_catalog.setval('gateway.stream_token_key_id_seq', 1, true);
SELECT pg_catalog.setval('gateway.task_event_id_seq', 44, true);
ALTER TABLE ONLY gateway.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY gateway.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.api_key
    ADD CONSTRAINT api_key_secret_hash_key UNIQUE (secret_hash);
ALTER TABLE ONLY gateway.app_user
    ADD CONSTRAINT app_user_organization_id_email_key UNIQUE (organization_id, email);
ALTER TABLE ONLY gateway.app_user
    ADD CONSTRAINT app_user_organization_id_id_key UNIQUE (organization_id, id);
ALTER TABLE ONLY gateway.app_user
    ADD CONSTRAINT app_user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.audit_event
    ADD CONSTRAINT audit_event_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.broker_binding
    ADD CONSTRAINT broker_binding_pkey PRIMARY KEY (exchange, routing_key, queue);
ALTER TABLE ONLY gateway.broker_message
    ADD CONSTRAINT broker_message_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.chord_part
    ADD CONSTRAINT chord_part_pkey PRIMARY KEY (group_id, task_id, part);
ALTER TABLE ONLY gateway.chord
    ADD CONSTRAINT chord_pkey PRIMARY KEY (group_id);
ALTER TABLE ONLY gateway.endpoint
    ADD CONSTRAINT endpoint_id_organization_id_key UNIQUE (id, organization_id);
ALTER TABLE ONLY gateway.endpoint
    ADD CONSTRAINT endpoint_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.endpoint_share
    ADD CONSTRAINT endpoint_share_pkey PRIMARY KEY (endpoint_id, holder);
ALTER TABLE ONLY gateway.endpoint_state
    ADD CONSTRAINT endpoint_state_pkey PRIMARY KEY (endpoint_id);
ALTER TABLE ONLY gateway.event_log
    ADD CONSTRAINT event_log_pkey PRIMARY KEY (is_the_row);
ALTER TABLE ONLY gateway.idempotency_key
    ADD CONSTRAINT idempotency_key_pkey PRIMARY KEY (organization_id, key);
ALTER TABLE ONLY gateway.lane
    ADD CONSTRAINT lane_pkey PRIMARY KEY (test_run_id, number);
ALTER TABLE ONLY gateway.metric
    ADD CONSTRAINT metric_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.organization
    ADD CONSTRAINT organization_name_key UNIQUE (name);
ALTER TABLE ONLY gateway.organization
    ADD CONSTRAINT organization_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.run_group
    ADD CONSTRAINT run_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.stream_token_key
    ADD CONSTRAINT stream_token_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.sweep_step
    ADD CONSTRAINT sweep_step_pkey PRIMARY KEY (step);
ALTER TABLE ONLY gateway.task_event
    ADD CONSTRAINT task_event_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.task_event
    ADD CONSTRAINT task_event_subject_id_seq_key UNIQUE (subject_id, seq);
ALTER TABLE ONLY gateway.task
    ADD CONSTRAINT task_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.test_configuration
    ADD CONSTRAINT test_configuration_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.test
    ADD CONSTRAINT test_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.test_result
    ADD CONSTRAINT test_result_pkey PRIMARY KEY (test_run_id, test_id, repeat);
ALTER TABLE ONLY gateway.test_run
    ADD CONSTRAINT test_run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.test_set
    ADD CONSTRAINT test_set_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.webhook_attempt
    ADD CONSTRAINT webhook_attempt_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.webhook_attempt
    ADD CONSTRAINT webhook_attempt_webhook_delivery_id_number_key UNIQUE (webhook_delivery_id, number);
ALTER TABLE ONLY gateway.webhook_delivery
    ADD CONSTRAINT webhook_delivery_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.webhook_endpoint
    ADD CONSTRAINT webhook_endpoint_pkey PRIMARY KEY (id);
ALTER TABLE ONLY gateway.worker_heartbeat
    ADD CONSTRAINT worker_heartbeat_pkey PRIMARY KEY (node);
CREATE INDEX api_key_organization_id_user_id_idx ON gateway.api_key USING btree (organization_id, user_id);
CREATE INDEX audit_event_at_idx ON gateway.audit_event USING btree (at);
CREATE INDEX audit_event_organization_id_action_at_idx ON gateway.audit_event USING btree (organization_id, action, at) WHERE (outcome = 'denied'::text);
CREATE INDEX audit_event_organization_id_at_id_idx ON gateway.audit_event USING btree (organization_id, at, id);
CREATE INDEX broker_binding_queue_idx ON gateway.broker_binding USING btree (queue);
CREATE INDEX broker_message_expires_at_idx ON gateway.broker_message USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX broker_message_leased ON gateway.broker_message USING btree (queue, organization_id) WHERE (leased_by IS NOT NULL);
CREATE INDEX broker_message_ready ON gateway.broker_message USING btree (queue, organization_id, rank, visible_at, id);
CREATE INDEX broker_message_task_id_idx ON gateway.broker_message USING btree (task_id) WHERE (task_id IS NOT NULL);
CREATE INDEX chord_created_at_idx ON gateway.chord USING btree (created_at);
CREATE INDEX chord_fired_at_idx ON gateway.chord USING btree (fired_at) WHERE (fired_at IS NOT NULL);
CREATE INDEX chord_open ON gateway.chord USING btree (created_at) WHERE (fired_at IS NULL);
CREATE INDEX endpoint_organization_id_id_idx ON gateway.endpoint USING btree (organization_id, id);
CREATE INDEX idempotency_key_created_at_idx ON gateway.idempotency_key USING btree (created_at);
CREATE UNIQUE INDEX metric_name ON gateway.metric USING btree (organization_id, name) WHERE (archived_at IS NULL);
CREATE INDEX metric_organization_id_id_idx ON gateway.metric USING btree (organization_id, id);
CREATE INDEX run_group_callback_endpoint_id_idx ON gateway.run_group USING btree (callback_endpoint_id) WHERE (callback_endpoint_id IS NOT NULL);
CREATE INDEX run_group_open ON gateway.run_group USING btree (id) WHERE (finished_at IS NULL);
CREATE INDEX run_group_organization_id_id_idx ON gateway.run_group USING btree (organization_id, id);
CREATE INDEX task_event_organization_id_id_idx ON gateway.task_event USING btree (organization_id, id);
CREATE INDEX task_event_xid_id_idx ON gateway.task_event USING btree (xid, id);
CREATE INDEX task_finished_at_idx ON gateway.task USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX task_group_id_idx ON gateway.task USING btree (group_id) WHERE (group_id IS NOT NULL);
CREATE INDEX task_open ON gateway.task USING btree (COALESCE(root_id, id), id) WHERE (enqueued AND (finished_at IS NULL));
CREATE INDEX task_open_of_organization ON gateway.task USING btree (organization_id) WHERE ((finished_at IS NULL) AND (test_run_id IS NULL) AND (run_group_id IS NULL));
CREATE INDEX task_organization_id_created_at_idx ON gateway.task USING btree (organization_id, created_at);
CREATE INDEX task_test_run_id_idx ON gateway.task USING btree (test_run_id) WHERE (test_run_id IS NOT NULL);
CREATE INDEX test_configuration_organization_id_id_idx ON gateway.test_configuration USING btree (organization_id, id);
CREATE INDEX test_organization_id_idx ON gateway.test USING btree (organization_id);
CREATE INDEX test_organization_id_test_set_id_position_idx ON gateway.test USING btree (organization_id, test_set_id, "position") WHERE (archived_at IS NULL);
CREATE INDEX test_result_pending ON gateway.test_result USING btree (test_run_id, repeat, "position") WHERE (status = 'pending'::text);
CREATE INDEX test_result_test_run_id_position_repeat_idx ON gateway.test_result USING btree (test_run_id, "position", repeat);
CREATE INDEX test_run_callback_endpoint_id_idx ON gateway.test_run USING btree (callback_endpoint_id) WHERE (callback_endpoint_id IS NOT NULL);
CREATE INDEX test_run_finished_at_idx ON gateway.test_run USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX test_run_open ON gateway.test_run USING btree (deadline_at) WHERE (finished_at IS NULL);
CREATE INDEX test_run_open_of_organization ON gateway.test_run USING btree (organization_id) WHERE (finished_at IS NULL);
CREATE INDEX test_run_organization_id_id_idx ON gateway.test_run USING btree (organization_id, id);
CREATE INDEX test_run_rerun_of_idx ON gateway.test_run USING btree (rerun_of) WHERE (rerun_of IS NOT NULL);
CREATE INDEX test_run_rescore_of_idx ON gateway.test_run USING btree (rescore_of) WHERE (rescore_of IS NOT NULL);
CREATE INDEX test_run_run_group_id_idx ON gateway.test_run USING btree (run_group_id) WHERE (run_group_id IS NOT NULL);
CREATE INDEX test_run_task_id_idx ON gateway.test_run USING btree (task_id);
CREATE INDEX test_set_organization_id_id_idx ON gateway.test_set USING btree (organization_id, id);
CREATE INDEX test_test_set_id_position_idx ON gateway.test USING btree (test_set_id, "position");
CREATE INDEX webhook_delivery_finished_at_idx ON gateway.webhook_delivery USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX webhook_delivery_lease_until_idx ON gateway.webhook_delivery USING btree (lease_until) WHERE (leased_by IS NOT NULL);
CREATE INDEX webhook_delivery_next_attempt_at_idx ON gateway.webhook_delivery USING btree (next_attempt_at) WHERE ((status = 'pending'::text) AND (leased_by IS NULL));
CREATE INDEX webhook_delivery_organization_id_id_idx ON gateway.webhook_delivery USING btree (organization_id, id);
CREATE INDEX webhook_delivery_webhook_endpoint_id_id_idx ON gateway.webhook_delivery USING btree (webhook_endpoint_id, id);
CREATE INDEX webhook_delivery_webhook_endpoint_id_idx ON gateway.webhook_delivery USING btree (webhook_endpoint_id) WHERE (leased_by IS NOT NULL);
CREATE INDEX webhook_delivery_webhook_endpoint_id_next_attempt_at_idx ON gateway.webhook_delivery USING btree (webhook_endpoint_id, next_attempt_at) WHERE ((status = 'pending'::text) AND (leased_by IS NULL));
CREATE INDEX webhook_endpoint_organization_id_id_idx ON gateway.webhook_endpoint USING btree (organization_id, id);
CREATE UNIQUE INDEX webhook_endpoint_organization_id_url_idx ON gateway.webhook_endpoint USING btree (organization_id, url) WHERE (kind = 'callback'::text);
CREATE TRIGGER api_key_changed AFTER UPDATE ON gateway.api_key FOR EACH ROW WHEN (((((((old.revoked_at IS DISTINCT FROM new.revoked_at) OR (old.expires_at IS DISTINCT FROM new.expires_at)) OR (old.scopes IS DISTINCT FROM new.scopes)) OR (old.user_id IS DISTINCT FROM new.user_id)) OR (old.organization_id IS DISTINCT FROM new.organization_id)) OR (old.secret_hash IS DISTINCT FROM new.secret_hash))) EXECUTE FUNCTION gateway.tell_api_key_change();
CREATE TRIGGER api_key_removed AFTER DELETE ON gateway.api_key FOR EACH ROW EXECUTE FUNCTION gateway.tell_api_key_change();
CREATE TRIGGER audit_event_all_kept BEFORE TRUNCATE ON gateway.audit_event FOR EACH STATEMENT EXECUTE FUNCTION gateway.keep_audit_event();
CREATE TRIGGER audit_event_kept BEFORE DELETE OR UPDATE ON gateway.audit_event FOR EACH ROW EXECUTE FUNCTION gateway.keep_audit_event();
CREATE TRIGGER count_ended AFTER UPDATE OF finished_at ON gateway.test_run FOR EACH ROW WHEN (((new.run_group_id IS NOT NULL) AND (old.finished_at IS NULL) AND (new.finished_at IS NOT NULL))) EXECUTE FUNCTION gateway.count_ended_run();
CREATE TRIGGER count_finished AFTER UPDATE ON gateway.test_result REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION gateway.count_finished_results();
CREATE TRIGGER end_endpoint AFTER UPDATE OF disabled_at ON gateway.webhook_endpoint FOR EACH ROW WHEN (((old.disabled_at IS NULL) AND (new.disabled_at IS NOT NULL))) EXECUTE FUNCTION gateway.end_webhook_endpoint();
CREATE TRIGGER end_group AFTER UPDATE OF state ON gateway.task FOR EACH ROW WHEN (((new.run_group_id IS NOT NULL) AND (new.state = ANY (ARRAY['FAILURE'::text, 'REVOKED'::text])) AND (old.state <> new.state))) EXECUTE FUNCTION gateway.end_group_of_task();
CREATE TRIGGER end_run AFTER UPDATE OF state ON gateway.task FOR EACH ROW WHEN (((new.test_run_id IS NOT NULL) AND (new.state = ANY (ARRAY['FAILURE'::text, 'REVOKED'::text])) AND (old.state <> new.state))) EXECUTE FUNCTION gateway.end_run_of_task();
CREATE TRIGGER number_change BEFORE UPDATE ON gateway.run_group FOR EACH ROW EXECUTE FUNCTION gateway.number_run_group_change();
CREATE TRIGGER number_change BEFORE UPDATE ON gateway.task FOR EACH ROW EXECUTE FUNCTION gateway.number_task_change();
CREATE TRIGGER number_change BEFORE UPDATE ON gateway.test_run FOR EACH ROW EXECUTE FUNCTION gateway.number_test_run_change();
CREATE TRIGGER queue_webhooks AFTER INSERT ON gateway.task_event FOR EACH ROW WHEN ((new.type = ANY (ARRAY['test_run.completed'::text, 'test_run.partial'::text, 'test_run.failed'::text, 'test_run.cancelled'::text, 'run_group.completed'::text, 'run_group.partial'::text, 'run_group.failed'::text, 'run_group.cancelled'::text, 'task.succeeded'::text, 'task.failed'::text, 'task.revoked'::text, 'webhook_endpoint.disabled'::text]))) EXECUTE FUNCTION gateway.queue_webhooks();
CREATE TRIGGER switch_endpoint BEFORE UPDATE OF disabled_at ON gateway.webhook_endpoint FOR EACH ROW WHEN (((old.disabled_at IS NULL) <> (new.disabled_at IS NULL))) EXECUTE FUNCTION gateway.switch_webhook_endpoint();
CREATE TRIGGER write_event AFTER UPDATE ON gateway.run_group FOR EACH ROW WHEN ((new.seq <> old.seq)) EXECUTE FUNCTION gateway.write_run_group_event();
CREATE TRIGGER write_event AFTER UPDATE ON gateway.task FOR EACH ROW WHEN ((new.seq <> old.seq)) EXECUTE FUNCTION gateway.write_task_event();
CREATE TRIGGER write_event AFTER UPDATE ON gateway.test_run FOR EACH ROW WHEN ((new.seq <> old.seq)) EXECUTE FUNCTION gateway.write_test_run_event();
CREATE TRIGGER write_first_event AFTER INSERT ON gateway.run_group FOR EACH ROW EXECUTE FUNCTION gateway.write_run_group_event();
CREATE TRIGGER write_first_event AFTER INSERT ON gateway.task FOR EACH ROW EXECUTE FUNCTION gateway.write_task_event();
CREATE TRIGGER write_first_event AFTER INSERT ON gateway.test_run FOR EACH ROW EXECUTE FUNCTION gateway.write_test_run_event();
ALTER TABLE ONLY gateway.api_key
    ADD CONSTRAINT api_key_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.api_key
    ADD CONSTRAINT api_key_organization_id_user_id_fkey FOREIGN KEY (organization_id, user_id) REFERENCES gateway.app_user(organization_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.app_user
    ADD CONSTRAINT app_user_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.chord_part
    ADD CONSTRAINT chord_part_group_id_fkey FOREIGN KEY (group_id) REFERENCES gateway.chord(group_id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.endpoint
    ADD CONSTRAINT endpoint_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.endpoint_share
    ADD CONSTRAINT endpoint_share_endpoint_id_organization_id_fkey FOREIGN KEY (endpoint_id, organization_id) REFERENCES gateway.endpoint(id, organization_id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.endpoint_state
    ADD CONSTRAINT endpoint_state_endpoint_id_organization_id_fkey FOREIGN KEY (endpoint_id, organization_id) REFERENCES gateway.endpoint(id, organization_id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.idempotency_key
    ADD CONSTRAINT idempotency_key_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.lane
    ADD CONSTRAINT lane_test_run_id_fkey FOREIGN KEY (test_run_id) REFERENCES gateway.test_run(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.metric
    ADD CONSTRAINT metric_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.run_group
    ADD CONSTRAINT run_group_callback_endpoint_id_fkey FOREIGN KEY (callback_endpoint_id) REFERENCES gateway.webhook_endpoint(id) ON DELETE SET NULL;
ALTER TABLE ONLY gateway.run_group
    ADD CONSTRAINT run_group_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.run_group
    ADD CONSTRAINT run_group_test_set_id_fkey FOREIGN KEY (test_set_id) REFERENCES gateway.test_set(id);
ALTER TABLE ONLY gateway.task
    ADD CONSTRAINT task_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.test_configuration
    ADD CONSTRAINT test_configuration_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES gateway.endpoint(id);
ALTER TABLE ONLY gateway.test_configuration
    ADD CONSTRAINT test_configuration_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.test_configuration
    ADD CONSTRAINT test_configuration_test_set_id_fkey FOREIGN KEY (test_set_id) REFERENCES gateway.test_set(id);
ALTER TABLE ONLY gateway.test
    ADD CONSTRAINT test_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.test_result
    ADD CONSTRAINT test_result_test_id_fkey FOREIGN KEY (test_id) REFERENCES gateway.test(id);
ALTER TABLE ONLY gateway.test_result
    ADD CONSTRAINT test_result_test_run_id_fkey FOREIGN KEY (test_run_id) REFERENCES gateway.test_run(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.test_run
    ADD CONSTRAINT test_run_callback_endpoint_id_fkey FOREIGN KEY (callback_endpoint_id) REFERENCES gateway.webhook_endpoint(id) ON DELETE SET NULL;
ALTER TABLE ONLY gateway.test_run
    ADD CONSTRAINT test_run_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.test_run
    ADD CONSTRAINT test_run_rerun_of_fkey FOREIGN KEY (rerun_of) REFERENCES gateway.test_run(id) ON DELETE SET NULL;
ALTER TABLE ONLY gateway.test_run
    ADD CONSTRAINT test_run_rescore_of_fkey FOREIGN KEY (rescore_of) REFERENCES gateway.test_run(id) ON DELETE SET NULL;
ALTER TABLE ONLY gateway.test_run
    ADD CONSTRAINT test_run_run_group_id_fkey FOREIGN KEY (run_group_id) REFERENCES gateway.run_group(id);
ALTER TABLE ONLY gateway.test_run
    ADD CONSTRAINT test_run_test_configuration_id_fkey FOREIGN KEY (test_configuration_id) REFERENCES gateway.test_configuration(id);
ALTER TABLE ONLY gateway.test_set
    ADD CONSTRAINT test_set_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.test
    ADD CONSTRAINT test_test_set_id_fkey FOREIGN KEY (test_set_id) REFERENCES gateway.test_set(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.webhook_attempt
    ADD CONSTRAINT webhook_attempt_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.webhook_attempt
    ADD CONSTRAINT webhook_attempt_webhook_delivery_id_fkey FOREIGN KEY (webhook_delivery_id) REFERENCES gateway.webhook_delivery(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.webhook_delivery
    ADD CONSTRAINT webhook_delivery_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.webhook_delivery
    ADD CONSTRAINT webhook_delivery_webhook_endpoint_id_fkey FOREIGN KEY (webhook_endpoint_id) REFERENCES gateway.webhook_endpoint(id) ON DELETE CASCADE;
ALTER TABLE ONLY gateway.webhook_endpoint
    ADD CONSTRAINT webhook_endpoint_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES gateway.organization(id) ON DELETE CASCADE;
ALTER TABLE gateway.api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.app_user ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.audit_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY definer ON gateway.api_key TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.app_user TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.audit_event TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.endpoint TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.endpoint_share TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.endpoint_state TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.idempotency_key TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.lane TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.metric TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.organization TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.run_group TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.task TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.task_event TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.test TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.test_configuration TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.test_result TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.test_run TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.test_set TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.webhook_attempt TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.webhook_delivery TO definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON gateway.webhook_endpoint TO definer USING (true) WITH CHECK (true);
ALTER TABLE gateway.endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.endpoint_share ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.endpoint_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.idempotency_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.lane ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.metric ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.organization ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.run_group ENABLE ROW LEVEL SECURITY;
CREATE POLICY tail ON gateway.task_event FOR SELECT TO event_reader USING (true);
ALTER TABLE gateway.task ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.task_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON gateway.api_key USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.app_user USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.audit_event USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.endpoint USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.endpoint_share USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.endpoint_state USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.idempotency_key USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.lane USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.metric USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.organization USING ((id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.run_group USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.task USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.task_event USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.test USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.test_configuration USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.test_result USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.test_run USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.test_set USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.webhook_attempt USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.webhook_delivery USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON gateway.webhook_endpoint USING ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((organization_id = ( SELECT (NULLIF(current_setting('app.current_organization'::text, true), ''::text))::uuid AS "nullif")));
ALTER TABLE gateway.test ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.test_configuration ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.test_result ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.test_run ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.test_set ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.webhook_attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.webhook_delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway.webhook_endpoint ENABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA gateway TO definer;
GRANT USAGE ON SCHEMA gateway TO gateway_rw;
GRANT USAGE ON SCHEMA gateway TO worker_rw;
GRANT USAGE ON SCHEMA gateway TO event_reader;
REVOKE ALL ON FUNCTION gateway.admin_active_tasks(p_dead_after interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_active_tasks(p_dead_after interval) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_change_organization(p_organization uuid, p_name text, p_plan text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_change_organization(p_organization uuid, p_name text, p_plan text) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_create_organization(p_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_create_organization(p_name text) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_end_run(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_end_run(p_run uuid) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_end_task(p_task text, p_running boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_end_task(p_task text, p_running boolean) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.admin_end_task(p_task text, p_running boolean) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.admin_note_audit(p_organization uuid, p_action text, p_resource_id text, p_details jsonb, p_key uuid, p_user uuid, p_subject text, p_request text, p_client text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_note_audit(p_organization uuid, p_action text, p_resource_id text, p_details jsonb, p_key uuid, p_user uuid, p_subject text, p_request text, p_client text) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_organization(p_organization uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_organization(p_organization uuid) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_organizations(p_after text, p_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_organizations(p_after text, p_most integer) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_queues(p_dead_after interval, p_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_queues(p_dead_after interval, p_most integer) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_run(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_run(p_run uuid) TO gateway_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.sweep_step TO definer;
REVOKE ALL ON FUNCTION gateway.admin_sweeper() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_sweeper() TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_task(p_task text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_task(p_task text) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.admin_workers(p_dead_after interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.admin_workers(p_dead_after interval) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.adopted_error(p_content jsonb, p_problem text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.adopted_error(p_content jsonb, p_problem text) TO definer;
REVOKE ALL ON FUNCTION gateway.uuid7() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.uuid7() TO definer;
GRANT ALL ON FUNCTION gateway.uuid7() TO gateway_rw;
GRANT ALL ON FUNCTION gateway.uuid7() TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.test TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.test TO gateway_rw;
GRANT SELECT ON TABLE gateway.test TO worker_rw;
REVOKE ALL ON FUNCTION gateway.asked_by(t gateway.test) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.asked_by(t gateway.test) TO definer;
GRANT ALL ON FUNCTION gateway.asked_by(t gateway.test) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.asked_by(t gateway.test) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.begin_chord(p_group text, p_organization uuid, p_body jsonb, p_header jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.begin_chord(p_group text, p_organization uuid, p_body jsonb, p_header jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.begin_task(p_task text, p_message bigint, p_redelivered boolean, p_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.begin_task(p_task text, p_message bigint, p_redelivered boolean, p_max integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_ack(p_ids bigint[], p_lease uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_ack(p_ids bigint[], p_lease uuid) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_bind(p_exchange text, p_type text, p_routing_key text, p_pattern text, p_queue text, p_temporary boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_bind(p_exchange text, p_type text, p_routing_key text, p_pattern text, p_queue text, p_temporary boolean) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_bindings(p_exchange text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_bindings(p_exchange text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_delete_queue(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_delete_queue(p_queue text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_discard(p_id bigint, p_lease uuid, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_discard(p_id bigint, p_lease uuid, p_reason text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_extend(p_ids bigint[], p_lease uuid, p_visibility interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_extend(p_ids bigint[], p_lease uuid, p_visibility interval) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_fetch(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_fetch(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_publish(p_queue text, p_message jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_publish(p_queue text, p_message jsonb) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.broker_publish(p_queue text, p_message jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_purge(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_purge(p_queue text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_queue_exists(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_queue_exists(p_queue text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_release(p_ids bigint[], p_lease uuid, p_unread boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_release(p_ids bigint[], p_lease uuid, p_unread boolean) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_route(p_exchange text, p_routing_key text, p_message jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_route(p_exchange text, p_routing_key text, p_message jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_size(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_size(p_queue text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_sweep(p_age interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_sweep(p_age interval) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_touch(p_queues text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_touch(p_queues text[]) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_turn(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval, p_acked bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_turn(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval, p_acked bigint[]) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.broker_unbind(p_exchange text, p_routing_key text, p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.broker_unbind(p_exchange text, p_routing_key text, p_queue text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.cancel_group(p_group uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.cancel_group(p_group uuid) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.cancel_run(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.cancel_run(p_run uuid) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.cancel_task(p_task text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.cancel_task(p_task text) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.compare_group(p_organization uuid, p_group uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.compare_group(p_organization uuid, p_group uuid) TO definer;
GRANT ALL ON FUNCTION gateway.compare_group(p_organization uuid, p_group uuid) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.count_ended_run() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.count_finished_results() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.create_api_key(p_name text, p_prefix text, p_hash bytea, p_scopes text[], p_expires_at timestamp with time zone, p_user uuid, p_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.create_api_key(p_name text, p_prefix text, p_hash bytea, p_scopes text[], p_expires_at timestamp with time zone, p_user uuid, p_most integer) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.current_organization() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.current_organization() TO definer;
GRANT ALL ON FUNCTION gateway.current_organization() TO gateway_rw;
GRANT ALL ON FUNCTION gateway.current_organization() TO worker_rw;
REVOKE ALL ON FUNCTION gateway.delete_group(p_group text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.delete_group(p_group text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.end_chord_part(p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text, p_name text, p_worker text, p_retries integer, p_queue text, p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean, p_part integer, p_part_result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.end_chord_part(p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text, p_name text, p_worker text, p_retries integer, p_queue text, p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean, p_part integer, p_part_result jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.end_group(p_group uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.end_group_of_task() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.end_lost_task(p_task text, p_state text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.end_lost_task(p_task text, p_state text, p_reason text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.end_run(p_run uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.end_run_of_task() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.end_task(p_task text, p_running boolean, p_reason text) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.end_tasks(p_ids text[], p_reason text) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.end_webhook_endpoint() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.event_log_state() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.event_log_state() TO gateway_rw;
GRANT ALL ON FUNCTION gateway.event_log_state() TO event_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.test_run TO definer;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.test_run TO gateway_rw;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.test_run TO worker_rw;
REVOKE ALL ON FUNCTION gateway.failed_too_often(run gateway.test_run) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.failed_too_often(run gateway.test_run) TO definer;
GRANT ALL ON FUNCTION gateway.failed_too_often(run gateway.test_run) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.failed_too_often(run gateway.test_run) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.fair_share(p_endpoint uuid, p_holder uuid, p_most integer, p_turn interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.fair_share(p_endpoint uuid, p_holder uuid, p_most integer, p_turn interval) TO definer;
GRANT ALL ON FUNCTION gateway.fair_share(p_endpoint uuid, p_holder uuid, p_most integer, p_turn interval) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.find_api_key(p_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.find_api_key(p_hash bytea) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.find_api_key_by_id(p_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.find_api_key_by_id(p_id uuid) TO gateway_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.run_group TO definer;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.run_group TO gateway_rw;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.run_group TO worker_rw;
REVOKE ALL ON FUNCTION gateway.finish_task_of_group(g gateway.run_group) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.finish_task_of_group(g gateway.run_group) TO definer;
GRANT ALL ON FUNCTION gateway.finish_task_of_group(g gateway.run_group) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.finish_task_of_run(run gateway.test_run) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.finish_task_of_run(run gateway.test_run) TO definer;
GRANT ALL ON FUNCTION gateway.finish_task_of_run(run gateway.test_run) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.finish_task_of_run(run gateway.test_run) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.forget_task(p_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.forget_task(p_id text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.group_outcomes(p_organization uuid, p_group uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.group_outcomes(p_organization uuid, p_group uuid) TO definer;
GRANT ALL ON FUNCTION gateway.group_outcomes(p_organization uuid, p_group uuid) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.group_outcomes(p_organization uuid, p_group uuid) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.groups_in_need(p_grace interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.groups_in_need(p_grace interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.grow_chord(p_group text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.grow_chord(p_group text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.has_live_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.has_live_keys() TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.has_own_types(p_table oid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.has_own_types(p_table oid) TO definer;
REVOKE ALL ON FUNCTION gateway.import_adopted_state(p_organization uuid, p_most integer, p_id text, p_state text, p_payload bytea, p_traceback text, p_done timestamp with time zone, p_more jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.is_final_state(state text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.is_final_state(state text) TO definer;
GRANT ALL ON FUNCTION gateway.is_final_state(state text) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.is_final_state(state text) TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.api_key TO definer;
GRANT SELECT(id) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(organization_id) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(user_id) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(name),UPDATE(name) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(prefix) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(scopes) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(created_at) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(expires_at),UPDATE(expires_at) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(last_used_at) ON TABLE gateway.api_key TO gateway_rw;
GRANT SELECT(revoked_at),UPDATE(revoked_at) ON TABLE gateway.api_key TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.is_live_key(k gateway.api_key) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.is_live_key(k gateway.api_key) TO definer;
REVOKE ALL ON FUNCTION gateway.is_own_state(state text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.is_own_state(state text) TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.broker_message TO definer;
REVOKE ALL ON FUNCTION gateway.is_waiting(m gateway.broker_message) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.is_waiting(m gateway.broker_message) TO definer;
REVOKE ALL ON FUNCTION gateway.keep_audit_event() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.keep_audit_event() TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.task_event TO definer;
GRANT SELECT ON TABLE gateway.task_event TO event_reader;
GRANT SELECT ON TABLE gateway.task_event TO gateway_rw;
GRANT SELECT ON TABLE gateway.task_event TO worker_rw;
REVOKE ALL ON FUNCTION gateway.late_events(p_xids xid8[], p_from xid8, p_to xid8) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.late_events(p_xids xid8[], p_from xid8, p_to xid8) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.lost_chord_bodies(p_grace interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.lost_chord_bodies(p_grace interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.lost_chord_parts(p_grace interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.lost_chord_parts(p_grace interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.lost_tasks(p_dead_after interval, p_grace interval, p_looked integer, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.lost_tasks(p_dead_after interval, p_grace interval, p_looked integer, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.next_xid(p_snapshot pg_snapshot) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.next_xid(p_snapshot pg_snapshot) TO definer;
GRANT ALL ON FUNCTION gateway.next_xid(p_snapshot pg_snapshot) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.next_xid(p_snapshot pg_snapshot) TO event_reader;
REVOKE ALL ON FUNCTION gateway.number_run_group_change() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.number_run_group_change() TO definer;
GRANT ALL ON FUNCTION gateway.number_run_group_change() TO gateway_rw;
GRANT ALL ON FUNCTION gateway.number_run_group_change() TO worker_rw;
REVOKE ALL ON FUNCTION gateway.number_task_change() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.number_task_change() TO definer;
GRANT ALL ON FUNCTION gateway.number_task_change() TO gateway_rw;
GRANT ALL ON FUNCTION gateway.number_task_change() TO worker_rw;
REVOKE ALL ON FUNCTION gateway.number_test_run_change() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.number_test_run_change() TO definer;
GRANT ALL ON FUNCTION gateway.number_test_run_change() TO gateway_rw;
GRANT ALL ON FUNCTION gateway.number_test_run_change() TO worker_rw;
REVOKE ALL ON FUNCTION gateway.organization_of_name(p_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.organization_of_name(p_name text) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.outbox_published(p_ids bigint[], p_lease uuid, p_lost interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.outbox_published(p_ids bigint[], p_lease uuid, p_lost interval) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.outbox_take(p_limit integer, p_ahead integer, p_lease uuid, p_lease_time interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.outbox_take(p_limit integer, p_ahead integer, p_lease uuid, p_lease_time interval) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.paired_results(p_organization uuid, p_run uuid, p_baseline uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.paired_results(p_organization uuid, p_run uuid, p_baseline uuid) TO definer;
GRANT ALL ON FUNCTION gateway.paired_results(p_organization uuid, p_run uuid, p_baseline uuid) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.paired_results(p_organization uuid, p_run uuid, p_baseline uuid) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_audit_events(p_age interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_audit_events(p_age interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_deliveries(p_age interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_deliveries(p_age interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_events(p_age interval, p_after bigint, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_events(p_age interval, p_after bigint, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_finished_chords(p_age interval, p_abandoned interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_finished_chords(p_age interval, p_abandoned interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_finished_tasks(p_age interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_finished_tasks(p_age interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_idempotency_keys(p_age interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_idempotency_keys(p_age interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_results(p_age interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_results(p_age interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_runs(p_age interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_runs(p_age interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.prune_tasks(p_age interval, p_limit integer, p_organization uuid, p_names text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.prune_tasks(p_age interval, p_limit integer, p_organization uuid, p_names text[]) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.purge_queue(p_queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.purge_queue(p_queue text) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.queue_webhooks() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.read_adopted_payload(p_payload bytea, p_most integer, OUT content jsonb, OUT problem text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.read_adopted_payload(p_payload bytea, p_most integer, OUT content jsonb, OUT problem text) TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.chord TO definer;
REVOKE ALL ON FUNCTION gateway.read_chord(p_group text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.read_chord(p_group text) TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.chord_part TO definer;
REVOKE ALL ON FUNCTION gateway.read_chord_parts(p_group text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.read_chord_parts(p_group text) TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.task TO definer;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.task TO gateway_rw;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.task TO worker_rw;
REVOKE ALL ON FUNCTION gateway.read_tasks(p_ids text[], p_ended boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.read_tasks(p_ids text[], p_ended boolean) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.record_adopted_change() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.record_adopted_state(p_organization uuid, p_most integer, p_id text, p_state text, p_payload bytea, p_traceback text, p_more jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.record_results(p_run uuid, p_results jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.record_results(p_run uuid, p_results jsonb) TO definer;
GRANT ALL ON FUNCTION gateway.record_results(p_run uuid, p_results jsonb) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.record_results(p_run uuid, p_results jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.record_sweep(p_step text, p_node text, p_done bigint, p_seconds double precision, p_error text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.record_sweep(p_step text, p_node text, p_done bigint, p_seconds double precision, p_error text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.record_task_progress(p_id text, p_organization uuid, p_progress jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.record_task_progress(p_id text, p_organization uuid, p_progress jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.record_task_state(p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text, p_name text, p_worker text, p_retries integer, p_queue text, p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.record_task_state(p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text, p_name text, p_worker text, p_retries integer, p_queue text, p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.register_task(p_organization uuid, p_queue text, p_headers jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.remove_dead_nodes(p_age interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.remove_dead_nodes(p_age interval) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.reopen_chord(p_group text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.reopen_chord(p_group text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.result_of_group(g gateway.run_group) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.result_of_group(g gateway.run_group) TO definer;
GRANT ALL ON FUNCTION gateway.result_of_group(g gateway.run_group) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.return_chord_part(p_group text, p_organization uuid, p_task text, p_part integer, p_state text, p_result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.return_chord_part(p_group text, p_organization uuid, p_task text, p_part integer, p_state text, p_result jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.revoked_error(p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.revoked_error(p_reason text) TO definer;
GRANT ALL ON FUNCTION gateway.revoked_error(p_reason text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.run_group_event_data(g gateway.run_group) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.run_group_event_data(g gateway.run_group) TO definer;
GRANT ALL ON FUNCTION gateway.run_group_event_data(g gateway.run_group) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.run_group_event_data(g gateway.run_group) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.runs_in_need(p_grace interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.runs_in_need(p_grace interval, p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.schema_revision() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.schema_revision() TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.serving_role() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.serving_role() TO definer;
GRANT ALL ON FUNCTION gateway.serving_role() TO gateway_rw;
GRANT ALL ON FUNCTION gateway.serving_role() TO worker_rw;
REVOKE ALL ON FUNCTION gateway.set_chord_size(p_group text, p_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.set_chord_size(p_group text, p_size integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.settle_group(p_group uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.settle_group(p_group uuid) TO definer;
GRANT ALL ON FUNCTION gateway.settle_group(p_group uuid) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.settle_group_of(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.settle_group_of(p_run uuid) TO definer;
GRANT ALL ON FUNCTION gateway.settle_group_of(p_run uuid) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.settle_reason(outcome text, errors bigint, executed bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.settle_reason(outcome text, errors bigint, executed bigint) TO definer;
GRANT ALL ON FUNCTION gateway.settle_reason(outcome text, errors bigint, executed bigint) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.settle_reason(outcome text, errors bigint, executed bigint) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.settle_run(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.settle_run(p_run uuid) TO definer;
GRANT ALL ON FUNCTION gateway.settle_run(p_run uuid) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.settle_run(p_run uuid) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.short_text(value text, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.short_text(value text, most integer) TO definer;
GRANT ALL ON FUNCTION gateway.short_text(value text, most integer) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.short_text(value text, most integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.stream_token_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.stream_token_keys() TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.switch_webhook_endpoint() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.switch_webhook_endpoint() TO definer;
REVOKE ALL ON FUNCTION gateway.take_share(p_endpoint uuid, p_holder uuid, p_most integer, p_wanted integer, p_kept integer, p_turn interval, p_lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.take_share(p_endpoint uuid, p_holder uuid, p_most integer, p_wanted integer, p_kept integer, p_turn interval, p_lease interval) TO definer;
GRANT ALL ON FUNCTION gateway.take_share(p_endpoint uuid, p_holder uuid, p_most integer, p_wanted integer, p_kept integer, p_turn interval, p_lease interval) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.task_error_message(error jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.task_error_message(error jsonb) TO definer;
GRANT ALL ON FUNCTION gateway.task_error_message(error jsonb) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.task_error_message(error jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.task_event_data(t gateway.task) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.task_event_data(t gateway.task) TO definer;
GRANT ALL ON FUNCTION gateway.task_event_data(t gateway.task) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.task_event_data(t gateway.task) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.task_event_type(state text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.task_event_type(state text) TO definer;
GRANT ALL ON FUNCTION gateway.task_event_type(state text) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.task_event_type(state text) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.tell_api_key_change() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.tell_api_key_change() TO definer;
REVOKE ALL ON FUNCTION gateway.test_result_event_data(test_run_id uuid, test_id uuid, repeat integer, "position" integer, status text, latency_ms double precision, attempts integer, http_status integer, error jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.test_result_event_data(test_run_id uuid, test_id uuid, repeat integer, "position" integer, status text, latency_ms double precision, attempts integer, http_status integer, error jsonb) TO definer;
REVOKE ALL ON FUNCTION gateway.test_run_event_data(r gateway.test_run) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.test_run_event_data(r gateway.test_run) TO definer;
GRANT ALL ON FUNCTION gateway.test_run_event_data(r gateway.test_run) TO gateway_rw;
GRANT ALL ON FUNCTION gateway.test_run_event_data(r gateway.test_run) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.touch_api_key(p_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.touch_api_key(p_id uuid) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.webhook_backlog() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.webhook_backlog() TO worker_rw;
REVOKE ALL ON FUNCTION gateway.webhook_interrupt(p_most_attempts integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.webhook_learn(p_ids uuid[], p_results jsonb, p_disable_after interval, p_most_places integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.webhook_links(p_type text, p_subject text) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.webhook_links(p_type text, p_subject text) TO definer;
GRANT ALL ON FUNCTION gateway.webhook_links(p_type text, p_subject text) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.webhook_payload(p_type text, p_organization uuid, p_subject text, p_seq integer, p_at timestamp with time zone, p_data jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.webhook_payload(p_type text, p_organization uuid, p_subject text, p_seq integer, p_at timestamp with time zone, p_data jsonb) TO definer;
GRANT ALL ON FUNCTION gateway.webhook_payload(p_type text, p_organization uuid, p_subject text, p_seq integer, p_at timestamp with time zone, p_data jsonb) TO gateway_rw;
REVOKE ALL ON FUNCTION gateway.webhook_record(p_token uuid, p_results jsonb, p_delays double precision[], p_jitter double precision, p_disable_after interval, p_most_places integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.webhook_record(p_token uuid, p_results jsonb, p_delays double precision[], p_jitter double precision, p_disable_after interval, p_most_places integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.webhook_release(p_token uuid, p_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.webhook_release(p_token uuid, p_ids uuid[]) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.webhook_reserve(p_ids uuid[], p_token uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.webhook_sweep(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.webhook_sweep(p_limit integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.webhook_take(p_limit integer, p_slow_limit integer, p_token uuid, p_lease interval, p_most_attempts integer) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.webhook_take(p_limit integer, p_slow_limit integer, p_token uuid, p_lease interval, p_most_attempts integer) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.worker_left(p_node text, p_started_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.worker_left(p_node text, p_started_at timestamp with time zone) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.worker_report(p_node text, p_pid integer, p_started_at timestamp with time zone, p_pool text, p_concurrency integer, p_queues text[], p_tasks jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.worker_report(p_node text, p_pid integer, p_started_at timestamp with time zone, p_pool text, p_concurrency integer, p_queues text[], p_tasks jsonb) TO worker_rw;
REVOKE ALL ON FUNCTION gateway.worst_first() FROM PUBLIC;
GRANT ALL ON FUNCTION gateway.worst_first() TO definer;
GRANT ALL ON FUNCTION gateway.worst_first() TO gateway_rw;
GRANT ALL ON FUNCTION gateway.worst_first() TO worker_rw;
REVOKE ALL ON FUNCTION gateway.write_run_group_event() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.write_task_event() FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.write_test_run_event() FROM PUBLIC;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.alembic_version TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.app_user TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.app_user TO gateway_rw;
GRANT SELECT ON TABLE gateway.app_user TO worker_rw;
GRANT SELECT,INSERT,DELETE ON TABLE gateway.audit_event TO definer;
GRANT SELECT,INSERT ON TABLE gateway.audit_event TO gateway_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.broker_binding TO definer;
GRANT USAGE ON SEQUENCE gateway.broker_message_id_seq TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.endpoint TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.endpoint TO gateway_rw;
GRANT SELECT ON TABLE gateway.endpoint TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.endpoint_share TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.endpoint_share TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.endpoint_state TO definer;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.endpoint_state TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.event_log TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.idempotency_key TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.idempotency_key TO gateway_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.lane TO definer;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.lane TO gateway_rw;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.lane TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.metric TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.metric TO gateway_rw;
GRANT SELECT ON TABLE gateway.metric TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.organization TO definer;
GRANT SELECT ON TABLE gateway.organization TO gateway_rw;
GRANT SELECT ON TABLE gateway.organization TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.stream_token_key TO definer;
GRANT USAGE ON SEQUENCE gateway.stream_token_key_id_seq TO definer;
GRANT USAGE ON SEQUENCE gateway.task_event_id_seq TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.test_configuration TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.test_configuration TO gateway_rw;
GRANT SELECT ON TABLE gateway.test_configuration TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.test_result TO definer;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.test_result TO gateway_rw;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.test_result TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.test_set TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.test_set TO gateway_rw;
GRANT SELECT ON TABLE gateway.test_set TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.webhook_attempt TO definer;
GRANT SELECT ON TABLE gateway.webhook_attempt TO gateway_rw;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.webhook_attempt TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.webhook_delivery TO definer;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.webhook_delivery TO gateway_rw;
GRANT SELECT,INSERT,UPDATE ON TABLE gateway.webhook_delivery TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.webhook_endpoint TO definer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.webhook_endpoint TO gateway_rw;
GRANT SELECT ON TABLE gateway.webhook_endpoint TO worker_rw;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.worker_heartbeat TO definer;
