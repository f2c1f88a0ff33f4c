-- Every change of a state writes its event, in the same transaction: nobody can change one and forget the other.
-- The trigger functions run as `definer`, because the serving roles may not write `task_event` themselves.

CREATE OR REPLACE FUNCTION short_text(value text, most integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN length(value) > most THEN left(value, most - 1) || '…' ELSE value END
$$;

-- What an event tells of a task. Large results stay in the task's row: an event holds at most 8 kB. In plpgsql, which
-- keeps its plan: as a function in SQL it was planned anew at every change, and took half the time of the whole write.
CREATE OR REPLACE FUNCTION task_event_data(t task) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
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

-- Celery stores an exception as its type and its arguments; people read the first argument.
CREATE OR REPLACE FUNCTION task_error_message(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(error->'exc_message')
        WHEN 'array' THEN coalesce(
            (SELECT string_agg(part, ', ') FROM jsonb_array_elements_text(error->'exc_message') AS part), '')
        ELSE error->>'exc_message'
    END
$$;

CREATE OR REPLACE FUNCTION task_event_type(state text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
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

-- The number is drawn before the row is written and the event after it, so that a write which changes nothing that
-- callers see takes no number and leaves no event.
CREATE OR REPLACE FUNCTION number_task_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IS DISTINCT FROM OLD.state OR NEW.progress IS DISTINCT FROM OLD.progress THEN
        NEW.seq := OLD.seq + 1;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION write_task_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

CREATE OR REPLACE TRIGGER number_change BEFORE UPDATE ON task
    FOR EACH ROW EXECUTE FUNCTION number_task_change();
CREATE OR REPLACE TRIGGER write_first_event AFTER INSERT ON task
    FOR EACH ROW EXECUTE FUNCTION write_task_event();
CREATE OR REPLACE TRIGGER write_event AFTER UPDATE ON task
    FOR EACH ROW WHEN (NEW.seq <> OLD.seq) EXECUTE FUNCTION write_task_event();

-- ---------------------------------------------------------------- runs
CREATE OR REPLACE FUNCTION test_run_event_data(r test_run) RETURNS jsonb
LANGUAGE sql STABLE AS $$
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

CREATE OR REPLACE FUNCTION number_test_run_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status, NEW.pending, NEW.passed, NEW.failed, NEW.errored, NEW.cancelled, NEW.unscored)
        IS DISTINCT FROM
       (OLD.status, OLD.pending, OLD.passed, OLD.failed, OLD.errored, OLD.cancelled, OLD.unscored) THEN
        NEW.seq := NEW.seq + 1;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION write_test_run_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

CREATE OR REPLACE TRIGGER number_change BEFORE UPDATE ON test_run
    FOR EACH ROW EXECUTE FUNCTION number_test_run_change();
CREATE OR REPLACE TRIGGER write_first_event AFTER INSERT ON test_run
    FOR EACH ROW EXECUTE FUNCTION write_test_run_event();
CREATE OR REPLACE TRIGGER write_event AFTER UPDATE ON test_run
    FOR EACH ROW WHEN (NEW.seq <> OLD.seq) EXECUTE FUNCTION write_test_run_event();

-- Finished results: one statement may finish many. They take their numbers at once, then the run's counters move,
-- which is an event of its own. Lock the run before the results wherever both are written (see runs.sql).
-- The planner knows nothing of how many rows changed; with a nested loop a run of 3,000 tests took 2.5 s to cancel.
CREATE OR REPLACE FUNCTION count_finished_results() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp SET enable_nestloop = off AS $$
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

CREATE OR REPLACE FUNCTION test_result_event_data(
    test_run_id uuid, test_id uuid, repeat integer, "position" integer, status text,
    latency_ms double precision, attempts integer, http_status integer, error jsonb
) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'test_run_id', test_run_id, 'test_id', test_id, 'repeat', repeat, 'position', "position",
        'status', status,
        'latency_ms', round(latency_ms::numeric, 1), 'attempts', attempts, 'http_status', http_status,
        'error', CASE WHEN error IS NOT NULL THEN jsonb_build_object(
            'code', error->>'code', 'message', short_text(error->>'message', 300)) END))
$$;

CREATE OR REPLACE TRIGGER count_finished AFTER UPDATE ON test_result
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_finished_results();

-- ---------------------------------------------------------------- run groups
CREATE OR REPLACE FUNCTION number_run_group_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status IS DISTINCT FROM OLD.status OR NEW.finished IS DISTINCT FROM OLD.finished THEN
        NEW.seq := OLD.seq + 1;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION run_group_event_data(g run_group) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'run_group_id', g.id, 'task_id', g.task_id, 'status', g.status, 'total', g.planned, 'finished', g.finished))
$$;

CREATE OR REPLACE FUNCTION write_run_group_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

CREATE OR REPLACE TRIGGER number_change BEFORE UPDATE ON run_group
    FOR EACH ROW EXECUTE FUNCTION number_run_group_change();
CREATE OR REPLACE TRIGGER write_first_event AFTER INSERT ON run_group
    FOR EACH ROW EXECUTE FUNCTION write_run_group_event();
CREATE OR REPLACE TRIGGER write_event AFTER UPDATE ON run_group
    FOR EACH ROW WHEN (NEW.seq <> OLD.seq) EXECUTE FUNCTION write_run_group_event();

-- ---------------------------------------------------------------- the log as a whole
-- Which history the numbers of a cursor belong to, and how far it was pruned. Every copy of the database has its own
-- transactions: one restored from a dump has other tables, one beside it another oid, one restored to a point in time or
-- promoted from a standby another timeline. Refused by a standby, whose snapshots do not list the transactions at work.
CREATE OR REPLACE FUNCTION event_log_state() RETURNS TABLE (epoch bytea, pruned_xid bigint, pruned_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT substr(sha256(convert_to(concat_ws('/', l.epoch, system_identifier,
                  left(pg_walfile_name(pg_current_wal_lsn()), 8),
                  (SELECT oid FROM pg_database WHERE datname = current_database()), 'task_event'::regclass::oid), 'UTF8')), 1, 8),
           l.pruned_xid::text::bigint, l.pruned_id
    FROM event_log l CROSS JOIN pg_control_system()
$$;

-- The transaction id that is handed out next: whatever a snapshot taken before does not list and has not seen end, from
-- its `xmax` on, had not begun if it is not below. `age` is how far the counter is from an id; it knows its lower half.
CREATE OR REPLACE FUNCTION next_xid(p_snapshot pg_snapshot) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT xmax + ((age('3'::xid)::bigint + 3 - xmax) & 4294967295)
    FROM (SELECT pg_snapshot_xmax(p_snapshot)::text::bigint AS xmax) snapshot
$$;

-- The current organization's events that some transactions wrote, few among all of the organization's: those listed, and
-- those from one up to another. The comparison without an index is meant; the one on transactions finds them.
CREATE OR REPLACE FUNCTION late_events(p_xids xid8[], p_from xid8, p_to xid8) RETURNS SETOF task_event
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY SELECT * FROM task_event e
    WHERE e.xid = ANY (p_xids) AND e.organization_id IS NOT DISTINCT FROM current_organization();
    RETURN QUERY SELECT * FROM task_event e
    WHERE e.xid >= p_from AND e.xid < p_to AND e.organization_id IS NOT DISTINCT FROM current_organization();
END $$;
