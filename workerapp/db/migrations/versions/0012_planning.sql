-- Whether a run has begun with its first tests while the others are still being planned.
ALTER TABLE test_run ADD COLUMN planning boolean NOT NULL DEFAULT false;
