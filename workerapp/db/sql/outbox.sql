-- The outbox: with RabbitMQ or Redis as the broker, messages are stored in the queue's table as they are with Postgres,
-- in the transaction of their work, and relays pass them on. The row stays until a worker begins the task: what the
-- broker loses is found here, and published once more.

-- Leases what may be passed on now. At most p_ahead messages of a queue are in the broker at a time, not counting those
-- that have begun: the rest wait here, where tenants take turns, and where they can be cancelled and counted. `held` tells
-- that more is waiting than the broker may have.
CREATE OR REPLACE FUNCTION outbox_take(p_limit integer, p_ahead integer, p_lease uuid, p_lease_time interval)
RETURNS TABLE (id bigint, queue text, published boolean, held boolean, message jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- The broker has these messages. They are looked at again after p_lost, if nobody has begun them by then.
CREATE OR REPLACE FUNCTION outbox_published(p_ids bigint[], p_lease uuid, p_lost interval) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE broker_message SET published_at = now(), visible_at = now() + p_lost
    WHERE id = ANY (p_ids) AND leased_by = p_lease
$$;

-- A worker is about to execute a task: `run`, `skip` or `poison`. A message whose row is gone was begun before: it is a
-- copy, unless the broker says that it comes again because its worker was lost. After p_max of those it is poison.
CREATE OR REPLACE FUNCTION begin_task(p_task text, p_message bigint, p_redelivered boolean, p_max integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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
