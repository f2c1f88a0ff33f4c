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

-- Records a state. Returns `written`, `final` (the row had ended before and is left as it is) or `refused` (the row is
-- another organization's, or no organization is known for a new one).
CREATE OR REPLACE FUNCTION record_task_state(
    p_id text, p_organization uuid, p_state text, p_result jsonb, p_error jsonb, p_traceback text,
    p_name text, p_worker text, p_retries integer, p_queue text,
    p_root text, p_parent text, p_group text, p_children jsonb
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    before record;
    final boolean := is_final_state(p_state);
BEGIN
    SELECT organization_id, state INTO before FROM task WHERE id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        IF p_organization IS NULL OR NOT EXISTS (SELECT FROM organization WHERE id = p_organization) THEN
            RETURN 'refused';
        END IF;
        INSERT INTO task (id, organization_id, name, queue, root_id, parent_id, group_id)
        VALUES (p_id, p_organization, p_name, p_queue, p_root, p_parent, p_group)
        ON CONFLICT (id) DO NOTHING;
        SELECT organization_id, state INTO before FROM task WHERE id = p_id FOR NO KEY UPDATE;
    END IF;
    IF before.organization_id IS DISTINCT FROM p_organization THEN
        RETURN 'refused';
    END IF;
    IF is_final_state(before.state) THEN
        RETURN 'final';
    END IF;
    UPDATE task SET
        state = p_state,
        result = p_result,
        error = p_error,
        traceback = p_traceback,
        name = coalesce(p_name, name),
        worker = coalesce(p_worker, worker),
        retries = coalesce(p_retries, retries),
        queue = coalesce(p_queue, queue),
        root_id = coalesce(root_id, p_root),
        parent_id = coalesce(parent_id, p_parent),
        group_id = coalesce(group_id, p_group),
        children = coalesce(p_children, children),
        unpublished = NULL,
        started_at = CASE WHEN p_state = 'STARTED' THEN clock_timestamp() ELSE started_at END,
        finished_at = CASE WHEN final THEN clock_timestamp() END
    WHERE id = p_id;
    RETURN 'written';
END $$;

-- What AsyncResult reads. With no tenant set (a worker, a script) every row can be read by its id.
CREATE OR REPLACE FUNCTION read_task(p_id text) RETURNS SETOF task
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT * FROM task
    WHERE id = p_id AND (current_organization() IS NULL OR organization_id = current_organization())
$$;

CREATE OR REPLACE FUNCTION forget_task(p_id text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE task SET result = NULL, error = NULL, traceback = NULL, children = NULL WHERE id = p_id
$$;

-- ---------------------------------------------------------------- chords
CREATE OR REPLACE FUNCTION begin_chord(p_group text, p_organization uuid, p_body jsonb, p_header jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO chord (group_id, organization_id, body, header) VALUES (p_group, p_organization, p_body, p_header)
    ON CONFLICT (group_id) DO UPDATE SET
        organization_id = coalesce(chord.organization_id, EXCLUDED.organization_id),
        body = coalesce(EXCLUDED.body, chord.body),
        header = coalesce(EXCLUDED.header, chord.header)
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

-- Counts a header task once, however often it is delivered. True for the one call that completes the set.
CREATE OR REPLACE FUNCTION return_chord_part(
    p_group text, p_organization uuid, p_task text, p_part integer, p_state text, p_result jsonb
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    before chord;
    fired boolean;
    new_parts integer;
BEGIN
    INSERT INTO chord (group_id, organization_id) VALUES (p_group, p_organization) ON CONFLICT (group_id) DO NOTHING;
    SELECT * INTO before FROM chord WHERE group_id = p_group FOR UPDATE;
    IF before.organization_id IS DISTINCT FROM p_organization AND before.organization_id IS NOT NULL THEN
        RETURN false;
    END IF;
    INSERT INTO chord_part (group_id, task_id, part, state, result) VALUES (p_group, p_task, p_part, p_state, p_result)
    ON CONFLICT (group_id, task_id) DO NOTHING;
    GET DIAGNOSTICS new_parts = ROW_COUNT;
    IF new_parts = 0 THEN
        RETURN false;
    END IF;
    UPDATE chord SET
        done = done + 1,
        fired_at = CASE WHEN fired_at IS NULL AND done + 1 >= size THEN clock_timestamp() ELSE fired_at END
    WHERE group_id = p_group
    RETURNING fired_at IS NOT NULL INTO fired;
    RETURN fired AND before.fired_at IS NULL;
END $$;

CREATE OR REPLACE FUNCTION read_chord(p_group text) RETURNS SETOF chord
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT * FROM chord WHERE group_id = p_group
$$;

CREATE OR REPLACE FUNCTION read_chord_parts(p_group text) RETURNS SETOF chord_part
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT * FROM chord_part WHERE group_id = p_group ORDER BY part NULLS LAST, task_id
$$;

CREATE OR REPLACE FUNCTION delete_chord(p_group text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    DELETE FROM chord WHERE group_id = p_group
$$;
