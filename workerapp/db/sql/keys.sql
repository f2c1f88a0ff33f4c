-- API keys: who may make one, who hears that one has changed; and organizations, for operators.

-- Tells every gateway which key can no longer be relied on. It is sent in the transaction of the change, against the rule
-- for events: changes of keys are rare, so the lock that a notification holds across the commit is of no account, and a
-- revocation must be heard whoever makes it, with a command, over REST or in psql. Uses of keys are not told.
CREATE OR REPLACE FUNCTION tell_api_key_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gateway_key', OLD.id::text);
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS api_key_changed ON api_key;
CREATE TRIGGER api_key_changed AFTER UPDATE ON api_key FOR EACH ROW
WHEN ((OLD.revoked_at, OLD.expires_at, OLD.scopes, OLD.user_id, OLD.organization_id, OLD.secret_hash)
      IS DISTINCT FROM (NEW.revoked_at, NEW.expires_at, NEW.scopes, NEW.user_id, NEW.organization_id, NEW.secret_hash))
EXECUTE FUNCTION tell_api_key_change();

DROP TRIGGER IF EXISTS api_key_removed ON api_key;
CREATE TRIGGER api_key_removed AFTER DELETE ON api_key FOR EACH ROW EXECUTE FUNCTION tell_api_key_change();

CREATE OR REPLACE FUNCTION is_live_key(k api_key) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
$$;

-- Makes a key of the current organization; its id, or null if the organization has p_most live keys already. Keys are
-- made one after the other, so that the count holds. An operator's scope is not for callers to give.
CREATE OR REPLACE FUNCTION create_api_key(
    p_name text, p_prefix text, p_hash bytea, p_scopes text[], p_expires_at timestamptz, p_user uuid, p_most integer
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
DECLARE
    owner constant uuid := current_organization();
    made uuid;
BEGIN
    IF 'admin' = ANY (p_scopes) THEN
        RAISE insufficient_privilege USING MESSAGE = 'keys with the scope admin are made by the owner of the database';
    END IF;
    PERFORM FROM organization WHERE id = owner FOR NO KEY UPDATE;
    IF (SELECT count(*) FROM api_key k WHERE k.organization_id = owner AND is_live_key(k)) < p_most THEN
        INSERT INTO api_key (organization_id, user_id, name, prefix, secret_hash, scopes, expires_at)
        VALUES (owner, p_user, p_name, p_prefix, p_hash, p_scopes, p_expires_at)
        RETURNING id INTO made;
    END IF;
    RETURN made;
END $$;

-- Whether anybody can use the API at all.
CREATE OR REPLACE FUNCTION has_live_keys() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT EXISTS (SELECT FROM api_key k WHERE is_live_key(k))
$$;

-- ---------------------------------------------------------------- for operators: across tenants
CREATE OR REPLACE FUNCTION admin_organization(p_organization uuid)
RETURNS TABLE (id uuid, name text, plan text, created_at timestamptz, users bigint, live_keys bigint,
               test_runs bigint, open_test_runs bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT o.id, o.name, o.plan, o.created_at,
           (SELECT count(*) FROM app_user u WHERE u.organization_id = o.id),
           (SELECT count(*) FROM api_key k WHERE k.organization_id = o.id AND is_live_key(k)),
           r.total, r.open
    FROM organization o CROSS JOIN LATERAL (
        SELECT count(*) AS total, count(*) FILTER (WHERE t.finished_at IS NULL) AS open
        FROM test_run t WHERE t.organization_id = o.id
    ) AS r
    WHERE o.id = p_organization
$$;

-- What an organization has open, counted as the limits of its plan are: tests of its runs without a result, and tasks other
-- than those of runs. A function of its own, so that a gateway of another version finds the columns it knows.
CREATE OR REPLACE FUNCTION admin_organization_load(p_organization uuid)
RETURNS TABLE (queued_tests bigint, open_tasks bigint) ROWS 1
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT
        (SELECT coalesce(sum(CASE WHEN r.planned IS NULL THEN r.expected ELSE r.pending END), 0)
         FROM test_run r WHERE r.organization_id = p_organization AND r.finished_at IS NULL),
        (SELECT count(*) FROM task t
         WHERE t.organization_id = p_organization AND t.finished_at IS NULL
               AND t.test_run_id IS NULL AND t.run_group_id IS NULL)
$$;

-- A page of organizations by name.
CREATE OR REPLACE FUNCTION admin_organizations(p_after text, p_most integer)
RETURNS TABLE (id uuid, name text, plan text, created_at timestamptz, users bigint, live_keys bigint,
               test_runs bigint, open_test_runs bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    SELECT found.* FROM (
        SELECT o.id, o.name FROM organization o WHERE o.name > p_after ORDER BY o.name LIMIT p_most
    ) AS page CROSS JOIN LATERAL admin_organization(page.id) AS found
    ORDER BY page.name
$$;

-- Null if there is one of that name.
CREATE OR REPLACE FUNCTION admin_create_organization(p_name text) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
    INSERT INTO organization (name) VALUES (p_name) ON CONFLICT (name) DO NOTHING RETURNING id
$$;

-- Null leaves it as it is. False if another one has the name.
CREATE OR REPLACE FUNCTION admin_change_organization(p_organization uuid, p_name text, p_plan text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_temp AS $$
BEGIN
    UPDATE organization SET name = coalesce(p_name, name), plan = coalesce(p_plan, plan) WHERE id = p_organization;
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;
