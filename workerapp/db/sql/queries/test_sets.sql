-- name: lock
-- The set, locked against everybody else who changes it.
SELECT id FROM test_set WHERE id = :test_set AND organization_id = :organization FOR NO KEY UPDATE

-- name: current
-- The ids of the set's tests.
SELECT id FROM test WHERE test_set_id = :test_set AND organization_id = :organization AND archived_at IS NULL

-- name: end
-- The position behind the last test, and how many tests there are.
SELECT coalesce(max(position) + 1, 0) AS position, count(*) AS tests
FROM test WHERE test_set_id = :test_set AND organization_id = :organization AND archived_at IS NULL

-- name: reorder
-- Gives the tests the positions of their ids in the list.
UPDATE test SET position = listed.number - 1
FROM unnest(CAST(:test_ids AS uuid[])) WITH ORDINALITY AS listed (id, number)
WHERE test.id = listed.id AND test.test_set_id = :test_set AND test.organization_id = :organization

-- name: append
-- Stores a JSON array of tests, from a position on. COPY would be no way around: it does not go with row-level security.
INSERT INTO test (organization_id, test_set_id, position, input, expected, tags, assertions, metadata)
SELECT CAST(:organization AS uuid), CAST(:test_set AS uuid), CAST(:position AS integer) + listed.number - 1,
       listed.test -> 'input', nullif(listed.test -> 'expected', 'null'),
       ARRAY(SELECT jsonb_array_elements_text(listed.test -> 'tags')),
       listed.test -> 'assertions', listed.test -> 'metadata'
FROM jsonb_array_elements(CAST(:tests AS jsonb)) WITH ORDINALITY AS listed (test, number)
