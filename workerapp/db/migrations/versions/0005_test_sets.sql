-- Counts the set's changes: every one locks the row of the set, so changes of a set come one after the other.
ALTER TABLE test_set ADD COLUMN version integer NOT NULL DEFAULT 1;

ALTER TABLE test ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
