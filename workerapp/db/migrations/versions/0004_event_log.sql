-- One row: which log this is, and how far it was pruned.
CREATE TABLE event_log (
    is_the_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_row),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    -- the highest transaction and the highest event that retention has removed
    pruned_xid xid8 NOT NULL DEFAULT '0',
    pruned_id bigint NOT NULL DEFAULT 0
);
INSERT INTO event_log DEFAULT VALUES;

-- An organization's events are read in the order of their ids, page by page, and what committed late is found by the
-- index on (xid, id): see `read_organization`. By (organization_id, xid, id) each page would have to sort all the rest.
CREATE INDEX ON task_event (organization_id, id);
DROP INDEX task_event_organization_id_xid_id_idx;
