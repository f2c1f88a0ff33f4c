-- Who may do what: policies on every tenant table, grants to the serving roles, and the look-ups that cross tenants.
-- Row-level security is forced, so it binds the owner too; an unset organization means no rows, never all.

DO $$
DECLARE
    tenant_table text;
    tenant_column text;
BEGIN
    FOR tenant_table, tenant_column IN
        SELECT c.relname, CASE c.relname WHEN 'organization' THEN 'id' ELSE 'organization_id' END
        FROM pg_class c
        WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname NOT IN ('alembic_version', 'broker_message', 'broker_binding', 'chord', 'chord_part',
                                'worker_heartbeat', 'sweep_step', 'stream_token_key', 'task_type',
                                'event_log')
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('DROP POLICY IF EXISTS tenant ON %I', tenant_table);
        EXECUTE format(
            'CREATE POLICY tenant ON %1$I'
            ' USING (%2$I = (SELECT NULLIF(current_setting(''app.current_organization'', true), '''')::uuid))'
            ' WITH CHECK (%2$I = (SELECT NULLIF(current_setting(''app.current_organization'', true), '''')::uuid))',
            tenant_table, tenant_column);
        EXECUTE format('DROP POLICY IF EXISTS definer ON %I', tenant_table);
        EXECUTE format('CREATE POLICY definer ON %I TO definer USING (true) WITH CHECK (true)', tenant_table);
    END LOOP;
END $$;

DROP POLICY IF EXISTS tail ON task_event;
CREATE POLICY tail ON task_event FOR SELECT TO event_reader USING (true);

-- ---------------------------------------------------------------- look-ups that cross tenants
-- Finds a usable key by the hash of its secret. The hash is of 256 random bits, so an index look-up tells nothing.
CREATE OR REPLACE FUNCTION find_api_key(p_hash bytea)
RETURNS TABLE (id uuid, organization_id uuid, user_id uuid, scopes text[], expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT id, organization_id, user_id, scopes, expires_at FROM api_key
    WHERE secret_hash = p_hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
$$;

-- Finds a usable key by its id, for what the key has made: the id comes out of a token that our signature vouches for.
CREATE OR REPLACE FUNCTION find_api_key_by_id(p_id uuid)
RETURNS TABLE (id uuid, organization_id uuid, user_id uuid, scopes text[], expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT id, organization_id, user_id, scopes, expires_at FROM api_key
    WHERE id = p_id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
$$;

-- Finds an organization by its name, for a token of an identity provider that vouches for its holder being of it.
CREATE OR REPLACE FUNCTION organization_of_name(p_name text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT id FROM organization WHERE name = p_name
$$;

-- What signs stream tokens, the newest with the highest id; the same for every gateway on this database.
CREATE OR REPLACE FUNCTION stream_token_keys() RETURNS TABLE (id integer, secret bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT id, secret FROM stream_token_key
$$;

CREATE OR REPLACE FUNCTION touch_api_key(p_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    UPDATE api_key SET last_used_at = now()
    WHERE id = p_id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
$$;

-- Which revision the tables have, for `gateway doctor`.
CREATE OR REPLACE FUNCTION schema_revision() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT version_num FROM alembic_version
$$;

-- ---------------------------------------------------------------- ownership and grants
-- `definer` needs CREATE on the schema only for the moment a function changes hands.
GRANT USAGE, CREATE ON SCHEMA gateway TO definer;
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'gateway'::regnamespace AND prosecdef AND proowner <> 'definer'::regrole
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO definer', f);
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA gateway FROM definer;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gateway TO definer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA gateway TO definer;

GRANT USAGE ON SCHEMA gateway TO gateway_rw, worker_rw, event_reader;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gateway FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gateway TO definer;
GRANT SELECT ON task_event TO event_reader;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    app_user, idempotency_key, endpoint, test_set, test, test_configuration, metric, webhook_endpoint
    TO gateway_rw;
GRANT SELECT ON organization, task_event, webhook_attempt TO gateway_rw;
-- Neither the hash of a secret nor its scopes: a key is made by `create_api_key`, and never gets more scopes.
REVOKE ALL ON api_key FROM gateway_rw;
GRANT SELECT (id, organization_id, user_id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at),
      UPDATE (name, expires_at, revoked_at) ON api_key TO gateway_rw;
GRANT SELECT, INSERT, UPDATE ON run_group, test_run, test_result, lane, task, webhook_delivery TO gateway_rw;
-- The audit log is added to, and never changed.
REVOKE UPDATE ON audit_event FROM definer;
GRANT SELECT, INSERT ON audit_event TO gateway_rw;

GRANT SELECT ON
    organization, app_user, endpoint, test_set, test, test_configuration, metric, webhook_endpoint, task_event
    TO worker_rw;
GRANT SELECT, INSERT, UPDATE ON
    run_group, test_run, test_result, lane, task, webhook_delivery, webhook_attempt, endpoint_state
    TO worker_rw;
GRANT SELECT, INSERT, UPDATE, DELETE ON endpoint_share TO worker_rw;

GRANT EXECUTE ON FUNCTION
    uuid7(), current_organization(), is_final_state(text), short_text(text, integer), task_error_message(jsonb),
    task_event_type(text), task_event_data(task), test_run_event_data(test_run), run_group_event_data(run_group),
    number_task_change(), number_test_run_change(), number_run_group_change(),
    settle_run(uuid), record_results(uuid, jsonb), settle_reason(text, bigint, bigint), finish_task_of_run(test_run),
    failed_too_often(test_run), asked_by(test), worst_first(), paired_results(uuid, uuid, uuid), group_outcomes(uuid, uuid),
    serving_role(), broker_publish(text, jsonb)
    TO gateway_rw, worker_rw;
GRANT EXECUTE ON FUNCTION
    find_api_key(bytea), find_api_key_by_id(uuid), touch_api_key(uuid), stream_token_keys(), has_live_keys(),
    organization_of_name(text),
    create_api_key(text, text, bytea, text[], timestamptz, uuid, integer), late_events(xid8[], xid8, xid8),
    webhook_payload(text, uuid, text, integer, timestamptz, jsonb), webhook_links(text, text),
    task_types(), is_queue_served(text, interval), cancel_tasks(text[])
    TO gateway_rw;
GRANT EXECUTE ON FUNCTION schema_revision() TO gateway_rw;
GRANT EXECUTE ON FUNCTION next_xid(pg_snapshot), event_log_state() TO gateway_rw, event_reader;
GRANT EXECUTE ON FUNCTION
    record_task_state(text, uuid, text, jsonb, jsonb, jsonb, text, text, text, integer, text, text, text, text, jsonb,
                      boolean),
    end_chord_part(text, uuid, text, jsonb, jsonb, jsonb, text, text, text, integer, text, text, text, text, jsonb,
                   boolean, integer, jsonb),
    record_task_progress(text, uuid, jsonb), read_tasks(text[], boolean), forget_task(text), begin_chord(text, uuid, jsonb, jsonb),
    set_chord_size(text, integer), grow_chord(text), return_chord_part(text, uuid, text, integer, text, jsonb),
    read_chord(text), read_chord_parts(text), delete_group(text),
    prune_tasks(interval, integer, uuid, text[]),
    broker_route(text, text, jsonb), broker_turn(text[], integer, uuid, interval, bigint[]),
    broker_discard(bigint, uuid, text), broker_queue_exists(text),
    broker_fetch(text[], integer, uuid, interval), broker_ack(bigint[], uuid),
    broker_release(bigint[], uuid, boolean), broker_extend(bigint[], uuid, interval), broker_size(text),
    broker_purge(text), broker_bind(text, text, text, text, text, boolean), broker_unbind(text, text, text),
    broker_delete_queue(text), broker_bindings(text), broker_touch(text[]), broker_sweep(interval),
    outbox_take(integer, integer, uuid, interval), outbox_published(bigint[], uuid, interval),
    begin_task(text, bigint, boolean, integer), runs_in_need(interval, integer), groups_in_need(interval, integer),
    settle_group(uuid), settle_group_of(uuid), compare_group(uuid, uuid), result_of_group(run_group),
    finish_task_of_group(run_group), revoked_error(text),
    webhook_take(integer, integer, uuid, interval, integer),
    webhook_record(uuid, jsonb, double precision[], double precision, interval, integer), webhook_release(uuid, uuid[]),
    webhook_sweep(integer), webhook_backlog(), webhook_trace(uuid, jsonb),
    fair_share(uuid, uuid, integer, interval), take_share(uuid, uuid, integer, integer, integer, interval, interval)
    TO worker_rw;

-- The gateway reaches what begins with `admin_`, and the purge of a queue, only for keys with the scope `admin`.
GRANT EXECUTE ON FUNCTION
    cancel_run(uuid), cancel_group(uuid), cancel_task(text), admin_end_task(text, boolean), admin_end_run(uuid), admin_workers(interval),
    admin_active_tasks(interval), admin_task(text), admin_run(uuid), admin_queues(interval, integer), admin_sweeper(), purge_queue(text),
    admin_organization(uuid), admin_organization_load(uuid), admin_organizations(text, integer),
    admin_create_organization(text), admin_change_organization(uuid, text, text),
    admin_note_audit(uuid, text, text, jsonb, uuid, uuid, text, text, text)
    TO gateway_rw;
GRANT EXECUTE ON FUNCTION
    admin_end_task(text, boolean),
    worker_report(text, integer, timestamptz, text, integer, text[], jsonb), worker_left(text, timestamptz),
    report_task_types(jsonb, interval), queue_backlog(), open_work(interval),
    lost_tasks(interval, interval, integer, integer), end_lost_task(text, text, text),
    lost_chord_parts(interval, integer), lost_chord_bodies(interval, integer), reopen_chord(text),
    remove_dead_nodes(interval), prune_events(interval, bigint, integer), prune_results(interval, integer),
    prune_runs(interval, integer), prune_finished_tasks(interval, integer),
    prune_finished_chords(interval, interval, integer), prune_deliveries(interval, integer),
    prune_idempotency_keys(interval, integer), prune_audit_events(interval, integer), record_sweep(text, text, bigint, double precision, text)
    TO worker_rw;
