-- Webhooks: an event that somebody wants to be told of queues its deliveries in its own transaction; workers claim them,
-- one attempt for each claim, and record what became of it.

-- ---------------------------------------------------------------- queueing
CREATE OR REPLACE FUNCTION webhook_links(p_type text, p_subject text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
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
$$;

-- What is sent of an event: the event's own data, at most 8 kB, and where the rest is.
CREATE OR REPLACE FUNCTION webhook_payload(
    p_type text, p_organization uuid, p_subject text, p_seq integer, p_at timestamptz, p_data jsonb
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'type', p_type,
        'timestamp', to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'data', p_data || jsonb_build_object(
            'organization_id', p_organization, 'seq', p_seq, 'links', webhook_links(p_type, p_subject)))
$$;

-- Queues a delivery for each subscription that asks for such an event, and for the callback of its run or group. What a
-- disabled endpoint misses is kept as skipped, to be recovered. Tasks that work for a run are the run's affair. The
-- endpoints are locked against removal, so that nothing is queued for one that just went.
CREATE OR REPLACE FUNCTION queue_webhooks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    family text := split_part(NEW.type, '.', 1);
    called_id uuid;
    called_url text;
BEGIN
    IF family = 'test_run' THEN
        SELECT callback_endpoint_id, callback_url INTO called_id, called_url FROM test_run WHERE id = NEW.subject_id::uuid;
    ELSIF family = 'run_group' THEN
        SELECT callback_endpoint_id, callback_url INTO called_id, called_url FROM run_group WHERE id = NEW.subject_id::uuid;
    END IF;
    INSERT INTO webhook_delivery (organization_id, webhook_endpoint_id, callback_url, event_type, subject_id, payload,
                                  status, next_attempt_at, finished_at)
    SELECT NEW.organization_id, e.id, CASE WHEN e.kind = 'callback' THEN called_url END, NEW.type, NEW.subject_id,
           webhook_payload(NEW.type, NEW.organization_id, NEW.subject_id, NEW.seq, NEW.at, NEW.data),
           CASE WHEN e.disabled_at IS NULL THEN 'pending' ELSE 'skipped' END,
           CASE WHEN e.disabled_at IS NULL THEN now() END, CASE WHEN e.disabled_at IS NOT NULL THEN now() END
    FROM webhook_endpoint e
    WHERE e.organization_id = NEW.organization_id AND e.id::text <> NEW.subject_id
      AND CASE e.kind
          WHEN 'callback' THEN e.id = called_id
          ELSE e.event_types && ARRAY[NEW.type, family || '.*', '*']
               AND NOT EXISTS (SELECT FROM task t WHERE family = 'task' AND t.id = NEW.subject_id
                               AND (t.test_run_id IS NOT NULL OR t.run_group_id IS NOT NULL)) END
    ORDER BY e.id FOR KEY SHARE OF e;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER queue_webhooks AFTER INSERT ON task_event FOR EACH ROW
    WHEN (NEW.type IN ('test_run.completed', 'test_run.partial', 'test_run.failed', 'test_run.cancelled',
                       'run_group.completed', 'run_group.partial', 'run_group.failed', 'run_group.cancelled',
                       'task.succeeded', 'task.failed', 'task.revoked', 'webhook_endpoint.disabled'))
    EXECUTE FUNCTION queue_webhooks();

-- ---------------------------------------------------------------- disabling
-- An endpoint that is enabled again begins as a new one.
CREATE OR REPLACE FUNCTION switch_webhook_endpoint() RETURNS trigger
LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE TRIGGER switch_endpoint BEFORE UPDATE OF disabled_at ON webhook_endpoint FOR EACH ROW
    WHEN ((OLD.disabled_at IS NULL) <> (NEW.disabled_at IS NULL)) EXECUTE FUNCTION switch_webhook_endpoint();

-- Tells that an endpoint is disabled, whoever did it, and skips what waits for it. Deliveries that somebody holds just now
-- are skipped by who records them, or by the sweeper: waiting for them here could be waiting for each other.
CREATE OR REPLACE FUNCTION end_webhook_endpoint() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

CREATE OR REPLACE TRIGGER end_endpoint AFTER UPDATE OF disabled_at ON webhook_endpoint FOR EACH ROW
    WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL) EXECUTE FUNCTION end_webhook_endpoint();

-- Skips what still waits for disabled endpoints. Returns how much there was.
CREATE OR REPLACE FUNCTION webhook_sweep(p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    WITH skipped AS (
        UPDATE webhook_delivery SET status = 'skipped', next_attempt_at = NULL, finished_at = now()
        WHERE id IN (SELECT d.id FROM webhook_endpoint e JOIN webhook_delivery d ON d.webhook_endpoint_id = e.id
                     WHERE e.disabled_at IS NOT NULL AND d.status = 'pending' AND d.leased_by IS NULL
                     LIMIT p_limit FOR NO KEY UPDATE OF d SKIP LOCKED)
        RETURNING 1
    )
    SELECT count(*) FROM skipped
$$;

-- ---------------------------------------------------------------- sending
-- Attempts whose claims ran out, for whoever made them died: they count, and the next one may come at once.
CREATE OR REPLACE FUNCTION webhook_interrupt(p_most_attempts integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- Claims deliveries that are due, for one attempt each: at most p_limit, of which at most p_slow_limit for endpoints that
-- failed or were slow when last asked. An endpoint gets no more attempts at once than it has places, whoever makes them, and
-- no more than its rate allows, a tenth of a second's at a time; all endpoints take turns. Claims are made one after the
-- other, so that what is counted holds. Plans outlive a table that was empty when they were made: whole-table scans for each
-- endpoint would take seconds then.
CREATE OR REPLACE FUNCTION webhook_take(
    p_limit integer, p_slow_limit integer, p_token uuid, p_lease interval, p_most_attempts integer
) RETURNS TABLE (id uuid, organization_id uuid, webhook_endpoint_id uuid, url text, sealed_secrets bytea,
                 sealed_headers bytea, event_type text, payload jsonb, attempt integer, slow boolean, due_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp SET enable_seqscan = off AS $$
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

-- Where in a trace the run of a payload was planned, for what delivers it; null for what is of no run.
CREATE OR REPLACE FUNCTION webhook_trace(p_organization uuid, p_payload jsonb) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT snapshot ->> 'traceparent' FROM test_run
    WHERE id = (p_payload #>> '{data,test_run_id}')::uuid AND organization_id = p_organization
$$;

-- Holds endpoints that have a rate until the next attempts may begin.
CREATE OR REPLACE FUNCTION webhook_reserve(p_ids uuid[], p_token uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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

-- Records attempts, objects of {id, outcome, http_status, error, excerpt, duration_ms, retry_after}; `outcome` is
-- delivered, failed or gone. What is not this claim's any more is left alone. p_delays: seconds from each failed attempt to
-- the next one, each made longer or shorter by up to p_jitter of it. Returns what became of the deliveries, and whether it was
-- the end of their endpoints.
CREATE OR REPLACE FUNCTION webhook_record(
    p_token uuid, p_results jsonb, p_delays double precision[], p_jitter double precision, p_disable_after interval,
    p_most_places integer
) RETURNS TABLE (id uuid, status text, next_attempt_at timestamptz, endpoint_disabled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp SET enable_seqscan = off AS $$
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

-- What attempts tell of their endpoints. Who answers well within a second may be sent twice as much at once; who fails or is
-- slow, one thing at a time. 410 disables a subscription, and so does failing for p_disable_after without a success between.
CREATE OR REPLACE FUNCTION webhook_learn(
    p_ids uuid[], p_results jsonb, p_disable_after interval, p_most_places integer
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
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
        SELECT e.id, t.quick,
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

-- Gives claims back whose attempts were broken off: they do not count, and others may make them at once.
CREATE OR REPLACE FUNCTION webhook_release(p_token uuid, p_ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE webhook_delivery SET leased_by = NULL, lease_until = NULL, attempts = attempts - 1, next_attempt_at = now()
    WHERE id = ANY (p_ids) AND leased_by = p_token
$$;

-- What waits to be sent, and since when the oldest of it should have been; of all organizations, for the metrics.
CREATE OR REPLACE FUNCTION webhook_backlog() RETURNS TABLE (pending bigint, due_since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT count(*), min(next_attempt_at) FILTER (WHERE next_attempt_at <= now()) FROM webhook_delivery WHERE status = 'pending'
$$;
