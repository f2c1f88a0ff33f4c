-- What is told of an endpoint is its own organization's.
ALTER TABLE endpoint ADD UNIQUE (id, organization_id);

-- What everybody who asks an endpoint keeps to; there is no row until there is something to keep to.
CREATE TABLE endpoint_state (
    endpoint_id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    -- from when on the start of a request can be reserved
    next_request_at timestamptz,
    -- until when the endpoint has asked to be left alone
    held_until timestamptz,
    -- until when it is not asked at all, and why; afterwards one test tries for all others, until then at most
    circuit_open_until timestamptz,
    circuit_tried_until timestamptz,
    circuit_reason jsonb,
    FOREIGN KEY (endpoint_id, organization_id) REFERENCES endpoint (id, organization_id) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- How many of the requests that an endpoint takes at once each of its users may make; leased, for users die.
CREATE TABLE endpoint_share (
    endpoint_id uuid NOT NULL,
    holder uuid NOT NULL,
    organization_id uuid NOT NULL,
    granted integer NOT NULL CHECK (granted >= 0),
    wanted integer NOT NULL CHECK (wanted >= 0),
    -- since when it has had some, or none
    since timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (endpoint_id, holder),
    FOREIGN KEY (endpoint_id, organization_id) REFERENCES endpoint (id, organization_id) ON DELETE CASCADE
) WITH (fillfactor = 50);
