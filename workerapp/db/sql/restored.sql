-- A database restored from a dump of another server brings transaction ids that this one has not come to: events of
-- theirs would be seen only when it does, and then as news. They become what they are, old. Row-level security binds the
-- owner too, so this is done as the role that may see every organization.
SET LOCAL ROLE definer;
UPDATE task_event SET xid = '3' WHERE xid >= pg_snapshot_xmax(pg_current_snapshot());
UPDATE event_log SET pruned_xid = '0' WHERE pruned_xid >= pg_snapshot_xmax(pg_current_snapshot());
RESET ROLE;
