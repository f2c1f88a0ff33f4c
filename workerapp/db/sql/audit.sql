-- The audit log: entries are added, never changed, and removed by retention only. Grants forbid the rest to the serving
-- roles; the trigger forbids it to the owner too, who may mean it well.

CREATE OR REPLACE FUNCTION keep_audit_event() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('app.prunes_audit_events', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = 'entries of the audit log are not changed, and only retention removes them';
END $$;

DROP TRIGGER IF EXISTS audit_event_kept ON audit_event;
CREATE TRIGGER audit_event_kept BEFORE UPDATE OR DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION keep_audit_event();
DROP TRIGGER IF EXISTS audit_event_all_kept ON audit_event;
CREATE TRIGGER audit_event_all_kept BEFORE TRUNCATE ON audit_event FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_event();

-- Notes what an operator does, who acts for no organization: p_organization is whose the resource is, null if nobody's.
-- Who has no key works on the database, and is named by the login.
CREATE OR REPLACE FUNCTION admin_note_audit(
    p_organization uuid, p_action text, p_resource_id text, p_details jsonb,
    p_key uuid, p_user uuid, p_subject text, p_request text, p_client text
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO audit_event (organization_id, actor, key_id, user_id, subject, action, resource_type, resource_id,
                             request_id, client, details)
    VALUES (p_organization, 'operator', p_key, p_user,
            coalesce(p_subject, CASE WHEN p_key IS NULL THEN session_user::text END), p_action,
            split_part(p_action, '.', 1), p_resource_id, p_request, p_client, p_details)
$$;

CREATE OR REPLACE FUNCTION prune_audit_events(p_age interval, p_limit integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    PERFORM set_config('app.prunes_audit_events', 'on', true);
    DELETE FROM audit_event WHERE id IN (
        SELECT id FROM audit_event WHERE at < now() - p_age ORDER BY at LIMIT p_limit);
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM set_config('app.prunes_audit_events', '', true);
    RETURN removed;
END $$;
