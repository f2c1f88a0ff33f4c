-- The queue: what the broker transport calls. The tables have no tenant policies and no grants; these functions are the
-- only way in.

CREATE OR REPLACE FUNCTION broker_publish(p_queue text, p_message jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- Publishes to every queue bound to the exchange under this key; returns how many. What a queue of one node does not
-- read in time is dropped: a client that stopped reading must not fill the table.
CREATE OR REPLACE FUNCTION broker_route(p_exchange text, p_routing_key text, p_message jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- A task has a row from the moment it is published. A retry publishes the same id again and finds its row; a run of a
-- group has one from its submission, and is published when the group begins.
CREATE OR REPLACE FUNCTION register_task(p_organization uuid, p_queue text, p_headers jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- Leases up to p_limit messages. Tenants take turns: who has the fewest messages in work comes first, and within a
-- tenant the more urgent, then the older. A tenant costs one index probe, however many messages it has waiting.
-- The planner is told the way, because statistics of a queue are always out of date: indexes and nested loops.
CREATE OR REPLACE FUNCTION broker_fetch(p_queues text[], p_limit integer, p_lease uuid, p_visibility interval)
RETURNS TABLE (id bigint, queue text, read_count integer, message jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
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

CREATE OR REPLACE FUNCTION broker_ack(p_ids bigint[], p_lease uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    DELETE FROM broker_message WHERE id = ANY (p_ids) AND leased_by = p_lease
$$;

-- What a worker does at every turn: acknowledge what is done and fetch what comes next, in one transaction.
CREATE OR REPLACE FUNCTION broker_turn(
    p_queues text[], p_limit integer, p_lease uuid, p_visibility interval, p_acked bigint[]
) RETURNS TABLE (id bigint, queue text, read_count integer, message jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
BEGIN
    IF cardinality(p_acked) > 0 THEN
        DELETE FROM broker_message m WHERE m.id = ANY (p_acked) AND m.leased_by = p_lease;
    END IF;
    RETURN QUERY SELECT * FROM broker_fetch(p_queues, p_limit, p_lease, p_visibility);
END $$;

-- Removes a message that cannot be worked on, and ends its task: nobody else will.
CREATE OR REPLACE FUNCTION broker_discard(p_id bigint, p_lease uuid, p_reason text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH gone AS (
        DELETE FROM broker_message WHERE id = p_id AND leased_by = p_lease RETURNING task_id
    )
    UPDATE task SET
        state = 'FAILURE', finished_at = clock_timestamp(),
        error = jsonb_build_object('exc_type', 'PoisonMessage', 'exc_module', 'workerapp.request',
                                   'exc_message', jsonb_build_array(p_reason))
    WHERE id IN (SELECT task_id FROM gone) AND NOT is_final_state(state)
$$;

-- Hands messages back at once. `p_unread` is for messages nobody began to work on: they count as never read and keep
-- their place; others go behind those that wait.
CREATE OR REPLACE FUNCTION broker_release(p_ids bigint[], p_lease uuid, p_unread boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE broker_message SET
        leased_by = NULL, visible_at = CASE WHEN p_unread THEN created_at ELSE clock_timestamp() END,
        read_count = CASE WHEN p_unread THEN greatest(read_count - 1, 0) ELSE read_count END
    WHERE id = ANY (p_ids) AND leased_by = p_lease
$$;

-- Keeps messages hidden while they are worked on. Returns those that are still held.
CREATE OR REPLACE FUNCTION broker_extend(p_ids bigint[], p_lease uuid, p_visibility interval) RETURNS SETOF bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE broker_message SET visible_at = now() + p_visibility
    WHERE id = ANY (p_ids) AND leased_by = p_lease
    RETURNING id
$$;

CREATE OR REPLACE FUNCTION broker_size(p_queue text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT count(*) FROM broker_message WHERE queue = p_queue AND (leased_by IS NULL OR visible_at <= now())
$$;

-- What Celery's own `purge` does.
CREATE OR REPLACE FUNCTION broker_purge(p_queue text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT purge_queue(p_queue)
$$;

-- ---------------------------------------------------------------- bindings
CREATE OR REPLACE FUNCTION broker_bind(
    p_exchange text, p_type text, p_routing_key text, p_pattern text, p_queue text, p_temporary boolean
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO broker_binding (exchange, exchange_type, routing_key, pattern, queue, alive_at)
    VALUES (p_exchange, p_type, p_routing_key, coalesce(p_pattern, ''), p_queue, CASE WHEN p_temporary THEN now() END)
    ON CONFLICT (exchange, routing_key, queue) DO UPDATE SET
        exchange_type = EXCLUDED.exchange_type, pattern = EXCLUDED.pattern, alive_at = EXCLUDED.alive_at
    WHERE (broker_binding.exchange_type, broker_binding.pattern, broker_binding.alive_at)
        IS DISTINCT FROM (EXCLUDED.exchange_type, EXCLUDED.pattern, EXCLUDED.alive_at)
$$;

CREATE OR REPLACE FUNCTION broker_unbind(p_exchange text, p_routing_key text, p_queue text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    DELETE FROM broker_binding WHERE exchange = p_exchange AND routing_key = p_routing_key AND queue = p_queue
$$;

CREATE OR REPLACE FUNCTION broker_delete_queue(p_queue text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT broker_purge(p_queue);
    DELETE FROM broker_binding WHERE queue = p_queue;
$$;

CREATE OR REPLACE FUNCTION broker_bindings(p_exchange text)
RETURNS TABLE (routing_key text, pattern text, queue text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT routing_key, pattern, queue FROM broker_binding WHERE exchange = p_exchange
$$;

-- A queue needs no declaring: it exists as soon as something is bound to it or waits in it.
CREATE OR REPLACE FUNCTION broker_queue_exists(p_queue text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT EXISTS (SELECT FROM broker_binding WHERE queue = p_queue)
        OR EXISTS (SELECT FROM broker_message WHERE queue = p_queue)
$$;

CREATE OR REPLACE FUNCTION broker_touch(p_queues text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE broker_binding SET alive_at = now() WHERE queue = ANY (p_queues) AND alive_at IS NOT NULL
$$;

-- Removes the queues of nodes that have not been seen for p_age, and messages nobody wanted in time.
CREATE OR REPLACE FUNCTION broker_sweep(p_age interval) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT broker_delete_queue(queue) FROM (
        SELECT DISTINCT queue FROM broker_binding WHERE alive_at < now() - p_age) dead;
    DELETE FROM broker_message WHERE expires_at < now();
$$;
