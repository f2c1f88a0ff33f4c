-- name: state
-- How long the endpoint wants to be left alone, and for how long its circuit is open; zero or less: it may be tried again.
SELECT extract(epoch FROM held_until - now())::double precision AS held,
       extract(epoch FROM circuit_open_until - now())::double precision AS open, circuit_reason
FROM endpoint_state WHERE endpoint_id = %(endpoint)s AND organization_id = current_organization()

-- name: reserve
-- Reserves the next so many starts of requests, `span` seconds of them, and tells how many seconds the first is away.
INSERT INTO endpoint_state AS s (endpoint_id, organization_id, next_request_at)
VALUES (%(endpoint)s, current_organization(), clock_timestamp() + make_interval(secs => %(span)s))
ON CONFLICT (endpoint_id) DO UPDATE SET
    next_request_at = greatest(s.next_request_at, s.held_until, clock_timestamp()) + make_interval(secs => %(span)s)
RETURNING extract(epoch FROM next_request_at - clock_timestamp())::double precision - %(span)s AS wait

-- name: hold
-- The endpoint asked to be left alone; an earlier wish is never shortened.
INSERT INTO endpoint_state AS s (endpoint_id, organization_id, held_until)
VALUES (%(endpoint)s, current_organization(), now() + make_interval(secs => %(seconds)s))
ON CONFLICT (endpoint_id) DO UPDATE SET held_until = greatest(s.held_until, EXCLUDED.held_until)

-- name: open_circuit
-- Nobody is to ask the endpoint for so long.
INSERT INTO endpoint_state AS s (endpoint_id, organization_id, circuit_open_until, circuit_reason)
VALUES (%(endpoint)s, current_organization(), now() + make_interval(secs => %(seconds)s), %(reason)s)
ON CONFLICT (endpoint_id) DO UPDATE SET
    circuit_open_until = EXCLUDED.circuit_open_until, circuit_reason = EXCLUDED.circuit_reason,
    circuit_tried_until = NULL

-- name: close_circuit
-- The endpoint was reached: everybody may ask again.
UPDATE endpoint_state SET circuit_open_until = NULL, circuit_reason = NULL, circuit_tried_until = NULL
WHERE endpoint_id = %(endpoint)s AND organization_id = current_organization() AND circuit_open_until IS NOT NULL

-- name: try_circuit
-- The circuit's time is over: who gets a row lets one test through, and nobody else does for so long.
UPDATE endpoint_state SET circuit_tried_until = now() + make_interval(secs => %(seconds)s)
WHERE endpoint_id = %(endpoint)s AND organization_id = current_organization() AND circuit_open_until <= now()
  AND (circuit_tried_until IS NULL OR circuit_tried_until <= now())
RETURNING circuit_tried_until

-- name: give_up_trying
-- The one test that was let through did not come to an end; another one may be.
UPDATE endpoint_state SET circuit_tried_until = NULL
WHERE endpoint_id = %(endpoint)s AND organization_id = current_organization()

-- name: share
-- Takes a share of the requests that the endpoint takes at once: how many from now on.
SELECT take_share(%(endpoint)s, %(holder)s, %(most)s, %(wanted)s, %(kept)s,
                  make_interval(secs => %(turn)s), make_interval(secs => %(lease)s)) AS places

-- name: leave
-- Gives the share back.
DELETE FROM endpoint_share
WHERE endpoint_id = %(endpoint)s AND holder = %(holder)s AND organization_id = current_organization()
