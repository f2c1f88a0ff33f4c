-- Task states and chord joins: what the result backend calls. These functions cross tenants, so they check the tenant
-- themselves: a message of one organization never touches the row of another.

-- The role this session serves as; inside a SECURITY DEFINER function `current_user` no longer tells.
CREATE OR REPLACE FUNCTION serving_role() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE current_setting('role') WHEN 'none' THEN session_user::text ELSE current_setting('role') END
$$;

CREATE OR REPLACE FUNCTION current_organization() RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT NULLIF(current_setting('app.current_organization', true), '')::uuid
$$;

CREATE OR REPLACE FUNCTION is_final_state(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT state IN ('SUCCESS', 'FAILURE', 'REVOKED')
$$;

-- What the application tells while a task runs, by a state of its own, is its progress and not its result.
CREATE OR REPLACE FUNCTION is_own_state(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT state NOT IN ('PENDING', 'RECEIVED', 'STARTED', 'RETRY', 'SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED',
                         'IGNORED')
$$;

-- Records a state. Returns `written`; `final` (the row had ended before and is left as it is); `void` (the same, and it
-- had ended without success); `refused` (the row is another organization's); `unknown` (there is no row, and no
-- organization to make one for); or `absent` (there is no row, and p_existing says to make none). The first statement is
-- all that happens to a task of the gateway.
CREATE OR REPLACE FUNCTION record_task_state(
    p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text,
    p_name text, p_worker text, p_retries integer, p_queue text,
    p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- What a running task tells of how far it is. False if there is no such task of this organization, if it has ended, or
-- if its row is locked: telling waits for nobody, since the task itself may hold the lock.
CREATE OR REPLACE FUNCTION record_task_progress(p_id text, p_organization uuid, p_progress jsonb) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- What AsyncResult reads. With no tenant set (a worker, a script) every row can be read by its id.
CREATE OR REPLACE FUNCTION read_tasks(p_ids text[], p_ended boolean) RETURNS SETOF task
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT * FROM task
    WHERE id = ANY (p_ids) AND (NOT p_ended OR is_final_state(state))
      AND (current_organization() IS NULL OR organization_id = current_organization())
$$;

-- Deletes what a task gave back. Its row stays, with the state it ended in: that it ran is the gateway's to know.
CREATE OR REPLACE FUNCTION forget_task(p_id text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE task SET result = NULL, error = NULL, traceback = NULL, children = NULL WHERE id = p_id
$$;

-- Retention: deletes tasks that ended longer than p_age ago, the oldest first and at most p_limit; returns how many.
-- An application that shares the database prunes only its own: by organization and task names.
CREATE OR REPLACE FUNCTION prune_tasks(
    p_age interval, p_limit integer, p_organization uuid DEFAULT NULL, p_names text[] DEFAULT NULL
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- ---------------------------------------------------------------- chords and saved groups
-- What is said of another organization's chord changes nothing.
CREATE OR REPLACE FUNCTION begin_chord(p_group text, p_organization uuid, p_body jsonb, p_header jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO chord (group_id, organization_id, body, header) VALUES (p_group, p_organization, p_body, p_header)
    ON CONFLICT (group_id) DO UPDATE SET
        organization_id = coalesce(chord.organization_id, EXCLUDED.organization_id),
        body = coalesce(EXCLUDED.body, chord.body),
        header = coalesce(EXCLUDED.header, chord.header)
    WHERE chord.organization_id IS NULL OR chord.organization_id = EXCLUDED.organization_id
$$;

-- True when every part had returned before the size was known, so the caller has to fire the body.
CREATE OR REPLACE FUNCTION set_chord_size(p_group text, p_size integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- One part more has to return. The size may not be known yet, so what is done falls behind by one instead.
CREATE OR REPLACE FUNCTION grow_chord(p_group text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO chord (group_id, done) VALUES (p_group, -1)
    ON CONFLICT (group_id) DO UPDATE SET done = chord.done - 1
$$;

-- Counts a header task once, however often it is delivered. True for the one call that completes the set. A signature
-- that stands in the header several times has one task id, and a part for each place.
CREATE OR REPLACE FUNCTION return_chord_part(
    p_group text, p_organization uuid, p_task text, p_part integer, p_state text, p_result jsonb
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- What most parts of a chord do at their end, in one statement: record the success and return the part. The part that
-- would complete the set does nothing here and gets `last`: it publishes the body, in a transaction with its own end.
CREATE OR REPLACE FUNCTION end_chord_part(
    p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_progress jsonb, p_traceback text,
    p_name text, p_worker text, p_retries integer, p_queue text,
    p_root text, p_parent text, p_group text, p_children jsonb, p_existing boolean, p_part integer, p_part_result jsonb
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

CREATE OR REPLACE FUNCTION read_chord(p_group text) RETURNS SETOF chord
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT * FROM chord WHERE group_id = p_group
$$;

CREATE OR REPLACE FUNCTION read_chord_parts(p_group text) RETURNS SETOF chord_part
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT * FROM chord_part WHERE group_id = p_group ORDER BY part, task_id
$$;

-- What a chord still needs for its join stays.
CREATE OR REPLACE FUNCTION delete_group(p_group text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    DELETE FROM chord WHERE group_id = p_group AND body IS NULL AND size IS NULL;
    UPDATE chord SET header = NULL WHERE group_id = p_group AND fired_at IS NOT NULL;
$$;

-- Parts that ended without a worker (purged, poisoned, revoked in the database): their chords still wait for them.
CREATE OR REPLACE FUNCTION lost_chord_parts(p_grace interval, p_limit integer)
RETURNS TABLE (group_id text, organization_id uuid, task_id text, state text, error jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT c.group_id, t.organization_id, t.id, t.state, t.error
    FROM chord c JOIN task t ON t.group_id = c.group_id
    WHERE c.fired_at IS NULL AND c.body IS NOT NULL AND c.size IS NOT NULL
      AND t.state IN ('FAILURE', 'REVOKED') AND t.finished_at < now() - p_grace
      AND NOT EXISTS (SELECT FROM chord_part p WHERE p.group_id = c.group_id AND p.task_id = t.id)
    ORDER BY t.finished_at LIMIT p_limit
$$;
