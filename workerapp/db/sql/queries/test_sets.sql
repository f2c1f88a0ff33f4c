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
INSERT INTO test (organization_id, test_set_id, position, input, expected, tags, assertions, metadata, turns)
SELECT CAST(:organization AS uuid), CAST(:test_set AS uuid), CAST(:position AS integer) + listed.number - 1,
       listed.test -> 'input', nullif(listed.test -> 'expected', 'null'),
       ARRAY(SELECT jsonb_array_elements_text(listed.test -> 'tags')),
       listed.test -> 'assertions', listed.test -> 'metadata', nullif(listed.test -> 'turns', 'null')
FROM jsonb_array_elements(CAST(:tests AS jsonb)) WITH ORDINALITY AS listed (test, number)

-- name: page
-- A page of the set's tests as JSON, and always the set's version as the same state has it; without a test on the last one.
SELECT s.version, page.position, page.line
FROM test_set s LEFT JOIN (
    SELECT position, line, sum(octet_length(line)) OVER (ORDER BY position) - octet_length(line) AS filled
    FROM (
        SELECT position, json_build_object('input', input, 'expected', expected, 'tags', tags, 'metadata', metadata,
                                           'assertions', assertions, 'turns', turns)::text AS line
        FROM test
        WHERE test_set_id = :test_set AND organization_id = :organization AND archived_at IS NULL
          AND position > :after AND (CAST(:tag AS text) IS NULL OR CAST(:tag AS text) = ANY (tags))
        ORDER BY position LIMIT :tests
    ) AS test
) AS page ON page.filled < :bytes
WHERE s.id = :test_set AND s.organization_id = :organization
ORDER BY page.position
