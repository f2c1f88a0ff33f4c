-- A subscription hears of what happens in its organization; a callback is the origin of addresses that were given with runs.
-- How many attempts may be under way at once is learnt: `places`, and `quick`, null as long as nothing is known.
ALTER TABLE webhook_endpoint
    ADD kind text NOT NULL DEFAULT 'subscription' CHECK (kind IN ('subscription', 'callback')),
    ADD disabled_reason text CHECK (disabled_reason IN ('request', 'gone', 'failing')),
    ADD places integer NOT NULL DEFAULT 1 CHECK (places > 0),
    ADD quick boolean,
    ADD held_until timestamptz,
    ADD seq integer NOT NULL DEFAULT 0,
    ADD CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    ADD CHECK (rate_per_second > 0);
CREATE UNIQUE INDEX ON webhook_endpoint (organization_id, url) WHERE kind = 'callback';

ALTER TABLE test_run ADD callback_endpoint_id uuid REFERENCES webhook_endpoint ON DELETE SET NULL;
ALTER TABLE run_group ADD callback_endpoint_id uuid REFERENCES webhook_endpoint ON DELETE SET NULL;
CREATE INDEX ON test_run (callback_endpoint_id) WHERE callback_endpoint_id IS NOT NULL;
CREATE INDEX ON run_group (callback_endpoint_id) WHERE callback_endpoint_id IS NOT NULL;

-- `attempts` are all there ever were; `schedule_place` those that failed since the delivery was last begun.
ALTER TABLE webhook_delivery
    DROP CONSTRAINT webhook_delivery_status_check,
    ADD CONSTRAINT webhook_delivery_status_check CHECK (status IN ('pending', 'delivered', 'exhausted', 'skipped')),
    ADD CHECK ((status = 'pending') = (finished_at IS NULL)),
    DROP CONSTRAINT webhook_delivery_check,
    ALTER webhook_endpoint_id SET NOT NULL,
    ADD schedule_place integer NOT NULL DEFAULT 0,
    ADD http_status integer,
    ADD error text;
DROP INDEX webhook_delivery_next_attempt_at_idx;
CREATE INDEX ON webhook_delivery (webhook_endpoint_id, next_attempt_at) WHERE status = 'pending' AND leased_by IS NULL;
CREATE INDEX ON webhook_delivery (next_attempt_at) WHERE status = 'pending' AND leased_by IS NULL;
CREATE INDEX ON webhook_delivery (webhook_endpoint_id) WHERE leased_by IS NOT NULL;
CREATE INDEX ON webhook_delivery (lease_until) WHERE leased_by IS NOT NULL;
CREATE INDEX ON webhook_delivery (webhook_endpoint_id, id);
