-- name: start_tail
-- Where a tail that knows nothing begins: all that is visible now counts as told.
SELECT pg_current_snapshot()::text AS cursor, coalesce(max(id), 0) AS newest_id FROM task_event

-- name: read_news
-- What became visible since the snapshot $1, by id, at most $3 events; always at least one row, for the new cursor.
-- Ids are drawn before the commit, so `id > last` would lose the events of whoever commits late; the difference of two
-- snapshots loses none, and needs no waiting for old transactions. The last branch is empty but after a crash of the
-- server, which may hand out again a transaction id that was seen as ended: ids of events ($2, the newest told) it never
-- hands out again.
WITH reading AS MATERIALIZED (SELECT pg_current_snapshot() AS current, $1::text::pg_snapshot AS seen)
SELECT reading.current::text AS cursor, news.*
FROM reading LEFT JOIN LATERAL (
    SELECT id, organization_id, subject_id, seq, type, at, data::text AS data FROM task_event
    WHERE xid >= pg_snapshot_xmax(reading.seen) AND pg_visible_in_snapshot(xid, reading.current)
    UNION ALL
    SELECT id, organization_id, subject_id, seq, type, at, data::text FROM task_event
    WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip(reading.seen))) AND pg_visible_in_snapshot(xid, reading.current)
    UNION ALL
    SELECT id, organization_id, subject_id, seq, type, at, data::text FROM task_event
    WHERE id > $2::bigint AND pg_visible_in_snapshot(xid, reading.seen) AND pg_visible_in_snapshot(xid, reading.current)
) AS news ON true
ORDER BY news.id LIMIT $3::integer

-- name: read_more_news
-- The same difference, $1 to the fixed snapshot $4, after the event $5: the further pages of a large catch-up.
SELECT id, organization_id, subject_id, seq, type, at, data::text AS data FROM task_event
WHERE id > $5::bigint
  AND pg_visible_in_snapshot(xid, $4::text::pg_snapshot)
  AND (id > $2::bigint OR NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot))
ORDER BY id LIMIT $3::integer

-- name: read_subject
-- One page of a subject's events after a cursor; the organization is a second wall beside row-level security.
SELECT id, organization_id, subject_id, seq, type, at, data::text AS data FROM task_event
WHERE subject_id = :subject_id AND organization_id = :organization_id AND seq > :after
ORDER BY seq LIMIT :most
