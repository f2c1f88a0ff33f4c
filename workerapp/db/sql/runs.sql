-- Runs: settling them, and finding those that need help. Wherever a run's row and its results are both written, the run
-- is locked first, so that lanes, cancellation and the sweeper cannot lock each other out.

-- Whether so many tests have failed or ended with an error that the run is not to go on.
CREATE OR REPLACE FUNCTION failed_too_often(run test_run) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce(run.failed + run.errored >= (run.snapshot #>> '{configuration,max_failures}')::integer, false)
$$;

-- Settles a run if it is due: no planned row is pending, or it is cancelled, has failed too often, or is past its
-- deadline. Returns the status of a settled run and null for one that goes on. A function of rows and idempotent: whoever
-- comes first calls it; while tests are still being planned nothing is due. The submitted task ends in the same transaction, so neither can be stuck without the other.
CREATE OR REPLACE FUNCTION settle_run(p_run uuid) RETURNS text
LANGUAGE plpgsql SET search_path = gateway, pg_temp AS $$
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

-- Writes a batch of finished tests and settles the run with the last of them, or with the last failure that it may have.
-- A test that has ended already keeps its result: two lanes may have executed it, but it is counted once. Returns the
-- status of a settled run, else null.
CREATE OR REPLACE FUNCTION record_results(p_run uuid, p_results jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = gateway, pg_temp SET enable_seqscan = off AS $$
DECLARE
    goes_on boolean;
    recorded_at timestamptz;
BEGIN
    PERFORM FROM test_run WHERE id = p_run FOR NO KEY UPDATE;
    recorded_at := clock_timestamp();
    -- By the primary key, whatever the planner believes of a large run that nobody has analyzed yet: of an index on the run
    -- and something else it would read all that is pending for each batch, 38 ms of 100,000 tests in place of 2. So the run
    -- is a column here, and no other index fits. Materialized: row-level security lets no index be used for COALESCE.
    -- They ended in the order they are given in, which no join keeps: a microsecond apart.
    WITH n AS MATERIALIZED (
        SELECT p_run AS run_id, test_id, coalesce(repeat, 1) AS repeat, status, output, scores, latency_ms, attempts,
               http_status, error, recorded_at + place * interval '1 microsecond' AS finished_at
        FROM ROWS FROM (jsonb_to_recordset(p_results) AS (
            test_id uuid, repeat integer, status text, output jsonb, scores jsonb, latency_ms double precision,
            attempts integer, http_status integer, error jsonb)) WITH ORDINALITY AS given(
            test_id, repeat, status, output, scores, latency_ms, attempts, http_status, error, place)
    )
    UPDATE test_result r SET
        status = n.status, output = n.output, scores = n.scores, latency_ms = n.latency_ms, attempts = n.attempts,
        http_status = n.http_status, error = n.error, leased_by = NULL, lease_until = NULL, finished_at = n.finished_at
    FROM n WHERE r.test_run_id = n.run_id AND r.test_id = n.test_id AND r.repeat + 0 = n.repeat
      AND r.finished_at IS NULL;
    SELECT pending > 0 AND NOT failed_too_often(r) INTO goes_on FROM test_run r WHERE id = p_run;
    IF goes_on THEN
        RETURN NULL;
    END IF;
    RETURN settle_run(p_run);
END $$;

-- What a test asks, whatever it expects: its input, or those of its turns as a list.
CREATE OR REPLACE FUNCTION asked_by(t test) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_path_query_array(t.turns, '$[*].input'), t.input)
$$;

CREATE OR REPLACE FUNCTION settle_reason(outcome text, errors bigint, executed bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN executed = 0 THEN 'The run had no test to execute.'
        WHEN outcome = 'failed' THEN 'None of the ' || executed || ' tests could be executed.'
        WHEN outcome = 'partial' THEN errors || ' of ' || executed || ' tests could not be executed.'
    END
$$;

-- Ends the submitted task with the run: SUCCESS however the tests went, REVOKED if the run was cancelled.
CREATE OR REPLACE FUNCTION finish_task_of_run(run test_run) RETURNS void
LANGUAGE sql SET search_path = gateway, pg_temp AS $$
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

-- A submitted task that ends without having planned its run takes the run with it; one that is revoked later cancels it.
CREATE OR REPLACE FUNCTION end_run_of_task() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

CREATE OR REPLACE TRIGGER end_run AFTER UPDATE OF state ON task
    FOR EACH ROW WHEN (NEW.test_run_id IS NOT NULL AND NEW.state IN ('FAILURE', 'REVOKED') AND OLD.state <> NEW.state)
    EXECUTE FUNCTION end_run_of_task();

-- The open runs that the sweeper should look at: begun long ago and not planned to the end (`plan`), due to settle
-- (`settle`), or planned and pending with no lane at work and none waiting (`revive`), whatever the broker: the message of a
-- lane is here until a worker begins it, also when RabbitMQ or Redis has it. `p_grace` is how long a lane may be silent, and
-- what is between its message and its lease.
CREATE OR REPLACE FUNCTION runs_in_need(p_grace interval, p_limit integer)
RETURNS TABLE (organization_id uuid, test_run_id uuid, need text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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
