-- Adopted apps: what a stock Celery app writes to its own `celery_taskmeta` becomes tasks and events of one
-- organization. The trigger runs inside the app's own writes, so two rules stand above all: it never makes one fail,
-- and it runs as `definer`, so it touches nothing through which the table's owner could run code of its own.

-- A value of a type that users made may be cast by a function of theirs. Such a table is left alone.
CREATE OR REPLACE FUNCTION has_own_types(p_table oid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = p_table AND attnum > 0 AND NOT attisdropped AND atttypid >= 16384)
$$;

-- The payload as JSON, or why it is none. Pickles are told by their first bytes and never opened.
CREATE OR REPLACE FUNCTION read_adopted_payload(p_payload bytea, p_most integer, OUT content jsonb, OUT problem text)
LANGUAGE plpgsql IMMUTABLE AS $$
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

-- An error as Celery's own JSON form has it, whatever was stored as one.
CREATE OR REPLACE FUNCTION adopted_error(p_content jsonb, p_problem text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_problem IS NOT NULL THEN jsonb_build_object(
            'exc_type', 'NotRead', 'exc_message', jsonb_build_array('The error is ' || p_problem || '.'))
        WHEN jsonb_typeof(p_content) = 'object' AND p_content ? 'exc_type' THEN p_content
        WHEN p_content IS NOT NULL THEN jsonb_build_object(
            'exc_type', 'Exception', 'exc_message', jsonb_build_array(p_content #>> '{}'))
    END
$$;

-- Records one row of an adopted table, by the rules of `record_task_state`. What could not be read is a note, where
-- progress stands. `p_more` are the columns of `result_extended`, as far as the table has them.
CREATE OR REPLACE FUNCTION record_adopted_state(
    p_organization uuid, p_most integer, p_id text, p_state text, p_payload bytea, p_traceback text, p_more jsonb
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- Imports one row that was there before the trigger. A task that is known already is only ended, never taken back:
-- its row may be newer than the statement that reads the table. Whoever reads it has row security off, we need ours.
CREATE OR REPLACE FUNCTION import_adopted_state(
    p_organization uuid, p_most integer, p_id text, p_state text, p_payload bytea, p_traceback text, p_done timestamptz,
    p_more jsonb
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp SET row_security = on AS $$
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

-- On the adopted table; its arguments are the organization and the largest payload. What goes wrong is a line in the
-- server's log, which the app does not see. `lock_timeout` bounds how long the app waits for a row of ours.
CREATE OR REPLACE FUNCTION record_adopted_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp SET row_security = on SET lock_timeout = '3s' AS $$
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
