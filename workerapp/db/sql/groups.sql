-- Groups of runs: one test set against several configurations. Who needs several rows locks the runs first, in the order
-- of their ids, then the group, as a run that ends locks its group.

-- Counts a run that has ended in its group, which is the group's progress. Settling is not done here: it compares all
-- results, and the transaction of a run's last results must not depend on that.
CREATE OR REPLACE FUNCTION count_ended_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
BEGIN
    UPDATE run_group SET finished = finished + 1 WHERE id = NEW.run_group_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER count_ended AFTER UPDATE OF finished_at ON test_run
    FOR EACH ROW WHEN (NEW.run_group_id IS NOT NULL AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION count_ended_run();

-- Settles a group if all of its runs have ended, and compares them. Returns the status of a settled group and null for one
-- that goes on. A function of rows and idempotent: whoever comes first calls it. The group's task ends in the same
-- transaction.
CREATE OR REPLACE FUNCTION settle_group(p_group uuid) RETURNS text
LANGUAGE plpgsql SET search_path = gateway, pg_temp AS $$
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

-- Settles the group of a run, if the run is of one and was the last.
CREATE OR REPLACE FUNCTION settle_group_of(p_run uuid) RETURNS text
LANGUAGE sql SET search_path = gateway, pg_temp AS $$
    SELECT settle_group(run_group_id) FROM test_run
    WHERE id = p_run AND run_group_id IS NOT NULL AND finished_at IS NOT NULL
$$;

-- What the group's task answers.
CREATE OR REPLACE FUNCTION result_of_group(g run_group) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = gateway, pg_temp AS $$
    SELECT jsonb_build_object(
        'run_group_id', g.id, 'status', g.status, 'counts', jsonb_build_object(
            'total', count(*), 'completed', count(*) FILTER (WHERE status = 'completed'),
            'partial', count(*) FILTER (WHERE status = 'partial'), 'failed', count(*) FILTER (WHERE status = 'failed'),
            'cancelled', count(*) FILTER (WHERE status = 'cancelled')))
    FROM test_run WHERE run_group_id = g.id
$$;

-- Ends the submitted task with the group: SUCCESS whatever became of the runs, REVOKED if the group was cancelled.
CREATE OR REPLACE FUNCTION finish_task_of_group(g run_group) RETURNS void
LANGUAGE sql SET search_path = gateway, pg_temp AS $$
    UPDATE task SET
        state = CASE g.status WHEN 'cancelled' THEN 'REVOKED' ELSE 'SUCCESS' END,
        result = CASE WHEN g.status <> 'cancelled' THEN result_of_group(g) END,
        error = CASE WHEN g.status = 'cancelled' THEN revoked_error('The runs were cancelled.') END,
        finished_at = clock_timestamp()
    WHERE id = g.task_id AND NOT is_final_state(state)
$$;

-- A group's task that fails takes the runs with it which it has not started: their tasks fail for its reason, and end
-- them. One that is revoked cancels the group.
CREATE OR REPLACE FUNCTION end_group_of_task() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

CREATE OR REPLACE TRIGGER end_group AFTER UPDATE OF state ON task
    FOR EACH ROW WHEN (NEW.run_group_id IS NOT NULL AND NEW.state IN ('FAILURE', 'REVOKED') AND OLD.state <> NEW.state)
    EXECUTE FUNCTION end_group_of_task();

-- The open groups that the sweeper should settle: the runs have all ended, the last of them p_grace ago.
CREATE OR REPLACE FUNCTION groups_in_need(p_grace interval, p_limit integer)
RETURNS TABLE (organization_id uuid, run_group_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT g.organization_id, g.id FROM run_group g
    WHERE g.finished_at IS NULL
      AND EXISTS (SELECT FROM test_run r WHERE r.run_group_id = g.id)
      AND NOT EXISTS (
          SELECT FROM test_run r
          WHERE r.run_group_id = g.id AND (r.finished_at IS NULL OR r.finished_at > now() - p_grace))
    ORDER BY g.id LIMIT p_limit
$$;

-- Cancels a group: its runs, which end as `end_run` tells, and its task if that has not started them.
CREATE OR REPLACE FUNCTION end_group(p_group uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- For callers: their own, and nobody else's.
CREATE OR REPLACE FUNCTION cancel_group(p_group uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT end_group(id) FROM run_group WHERE id = p_group AND organization_id = current_organization()
$$;
