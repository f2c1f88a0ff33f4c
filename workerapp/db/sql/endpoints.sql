-- How the lanes of all runs, and whoever else asks an endpoint, share the requests that it takes at once.

-- What is fair for one of them. Where there is at least one place for each, nobody gets more than it wants, and what some
-- leave is shared by the others. Where there are fewer, they take turns: first those whose turn is not over, then those
-- that wait, the longest first.
CREATE OR REPLACE FUNCTION fair_share(p_endpoint uuid, p_holder uuid, p_most integer, p_turn interval) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = gateway, pg_temp AS $$
DECLARE
    asking record;
    users integer;
    places integer := p_most;
    share integer;
BEGIN
    SELECT count(*) INTO users FROM endpoint_share
    WHERE endpoint_id = p_endpoint AND organization_id = current_organization() AND wanted > 0;
    IF users > p_most THEN
        RETURN (SELECT count(*) FROM (
            SELECT holder FROM endpoint_share
            WHERE endpoint_id = p_endpoint AND organization_id = current_organization() AND wanted > 0
            ORDER BY CASE WHEN granted = 0 THEN 1 WHEN since > clock_timestamp() - p_turn THEN 0 ELSE 2 END, since, holder
            LIMIT p_most) first WHERE holder = p_holder);
    END IF;
    FOR asking IN
        SELECT holder, wanted FROM endpoint_share
        WHERE endpoint_id = p_endpoint AND organization_id = current_organization() AND wanted > 0
        ORDER BY wanted, holder
    LOOP
        share := least(asking.wanted, places / users);
        IF asking.holder = p_holder THEN
            RETURN share;
        END IF;
        places := places - share;
        users := users - 1;
    END LOOP;
    RETURN 0;
END $$;

-- Takes a share for so long, and returns how many requests its holder may make at once from now on. `p_kept` is how many
-- it may still be making: it gives places back by lowering that, and gets more only of what is free, so that at no moment
-- more than `p_most` are given away. The state's row is the lock.
CREATE OR REPLACE FUNCTION take_share(
    p_endpoint uuid, p_holder uuid, p_most integer, p_wanted integer, p_kept integer, p_turn interval, p_lease interval)
RETURNS integer
LANGUAGE plpgsql SET search_path = gateway, pg_temp AS $$
DECLARE
    organization uuid := current_organization();
    moment timestamptz;
    allowed integer;
BEGIN
    PERFORM FROM endpoint_state WHERE endpoint_id = p_endpoint AND organization_id = organization FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO endpoint_state (endpoint_id, organization_id) VALUES (p_endpoint, organization)
        ON CONFLICT (endpoint_id) DO UPDATE SET endpoint_id = EXCLUDED.endpoint_id;
    END IF;
    moment := clock_timestamp();
    DELETE FROM endpoint_share WHERE endpoint_id = p_endpoint AND organization_id = organization AND lease_until < moment;
    INSERT INTO endpoint_share AS s (endpoint_id, holder, organization_id, granted, wanted, since, lease_until)
    VALUES (p_endpoint, p_holder, organization, p_kept, p_wanted, moment, moment + p_lease)
    ON CONFLICT (endpoint_id, holder) DO UPDATE SET
        granted = EXCLUDED.granted, wanted = EXCLUDED.wanted, lease_until = EXCLUDED.lease_until,
        since = CASE WHEN (s.granted = 0) = (EXCLUDED.granted = 0) THEN s.since ELSE EXCLUDED.since END;
    SELECT least(fair_share(p_endpoint, p_holder, p_most, p_turn), p_kept + greatest(p_most - sum(granted), 0))
    INTO allowed FROM endpoint_share WHERE endpoint_id = p_endpoint AND organization_id = organization;
    IF allowed > p_kept THEN
        UPDATE endpoint_share SET granted = allowed, since = CASE WHEN granted = 0 THEN moment ELSE since END
        WHERE endpoint_id = p_endpoint AND holder = p_holder;
    END IF;
    RETURN allowed;
END $$;
