-- name: read_epoch
-- Which history of the database this is.
SELECT epoch FROM event_log_state()

-- name: start_tail
-- Where a tail that knows nothing begins: all that is visible now counts as told.
SELECT pg_current_snapshot()::text AS cursor, next_xid(pg_current_snapshot()), coalesce(max(id), 0) AS newest_id
FROM task_event

-- name: read_news
-- What became visible since the snapshot $1, by id, at most $3 events; always at least one row, for the new cursor.
-- Ids are drawn before the commit, so `id > last` would lose the events of whoever commits late; the difference of two
-- snapshots loses none, and needs no waiting for old transactions. The last branch is empty but after a crash of the
-- server, which may hand out again a transaction id that was seen as ended: ids of events ($2, the newest told) it never
-- hands out again.
WITH reading AS MATERIALIZED (SELECT pg_current_snapshot() AS current, $1::text::pg_snapshot AS seen)
SELECT reading.current::text AS cursor, next_xid(reading.current),
       (SELECT coalesce(max(id), 0) FROM task_event) AS newest_id, news.*
FROM reading LEFT JOIN LATERAL (
    SELECT id, xid::text::bigint AS xid, organization_id, subject_id, seq, type, at, data::text AS data FROM task_event
    WHERE xid >= pg_snapshot_xmax(reading.seen) AND pg_visible_in_snapshot(xid, reading.current)
    UNION ALL
    SELECT id, xid::text::bigint, organization_id, subject_id, seq, type, at, data::text FROM task_event
    WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip(reading.seen))) AND pg_visible_in_snapshot(xid, reading.current)
    UNION ALL
    SELECT id, xid::text::bigint, organization_id, subject_id, seq, type, at, data::text FROM task_event
    WHERE id > $2::bigint AND pg_visible_in_snapshot(xid, reading.seen) AND pg_visible_in_snapshot(xid, reading.current)
) AS news ON true
ORDER BY news.id LIMIT $3::integer

-- name: read_more_news
-- The same difference, $1 to the fixed snapshot $4, after the event $5: the further pages of a large catch-up. Events
-- behind $6, the newest one then, came later, though a crash of the server may have handed out a transaction id again.
SELECT id, xid::text::bigint AS xid, organization_id, subject_id, seq, type, at, data::text AS data FROM task_event
WHERE id > $5::bigint AND id <= $6::bigint
  AND pg_visible_in_snapshot(xid, $4::text::pg_snapshot)
  AND (id > $2::bigint OR NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot))
ORDER BY id LIMIT $3::integer

-- name: read_subject
-- One page of a subject's events after a cursor; the organization is a second wall beside row-level security.
SELECT id, xid::text::bigint AS xid, organization_id, subject_id, seq, type, at, data::text AS data FROM task_event
WHERE subject_id = :subject_id AND organization_id = :organization_id AND seq > :after
ORDER BY seq LIMIT :most

-- name: read_log
-- Where an organization's log ends now, for this transaction, and which log it is. Then `read_organization` is planned
-- by the rows it reads, not by pages: along the index on (organization_id, id). Otherwise the planner sorts all that is
-- there for one page, or walks past everybody else's events, when it expects only a few.
SELECT pg_current_snapshot()::text AS snapshot,
       (SELECT coalesce(max(id), 0) FROM task_event WHERE organization_id = :organization_id) AS newest_id,
       next_xid(pg_current_snapshot()), epoch, pruned_xid, pruned_id,
       set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true),
       set_config('seq_page_cost', '0', true), set_config('random_page_cost', '0', true)
FROM event_log_state()

-- name: read_organization
-- The difference of two snapshots by id, for one organization, after the event `last_id`. What committed late is found by
-- the transactions that had begun at the first snapshot: `at_work`, and from `xmax` to `next_xid`. The rest is found by id
-- alone, because a trigger draws an event's id when its transaction has its own already: whoever began after a snapshot
-- draws higher ids than any that it sees (`seen_id`). So the rest is read in order, page by page, however large it is. It
-- holds what a crash of the server would hide too: see `read_news`.
(SELECT id, xid::text::bigint AS xid, organization_id, subject_id, seq, type, at, data::text AS data
 FROM late_events(CAST(:at_work AS text)::xid8[], CAST(:xmax AS text)::xid8, CAST(:next_xid AS text)::xid8)
 WHERE organization_id = :organization_id AND id > :last_id AND id <= :seen_id
   AND pg_visible_in_snapshot(xid, CAST(:target AS text)::pg_snapshot)
 ORDER BY id LIMIT :most)
UNION ALL
(SELECT id, xid::text::bigint, organization_id, subject_id, seq, type, at, data::text FROM task_event
 WHERE organization_id = :organization_id AND id > greatest(CAST(:seen_id AS bigint), CAST(:last_id AS bigint))
   AND id <= :target_id AND pg_visible_in_snapshot(xid, CAST(:target AS text)::pg_snapshot)
 ORDER BY id LIMIT :most)
ORDER BY id LIMIT :most

-- name: count_open_runs
-- What an organization's stream tells first; few runs are open at a time, and there is an index of them.
SELECT status, count(*) AS runs FROM test_run
WHERE organization_id = :organization_id AND finished_at IS NULL GROUP BY status ORDER BY status
