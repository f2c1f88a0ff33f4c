-- name: of_runs
-- The tests of two runs side by side: how many changed in which way, and one page of those whose change is asked for,
-- behind the place (:after_position, :after_side). A test of both runs is paired with itself. What is left is paired by
-- what it asks (its input, or those of its turns), in the order of the tests where several ask the same: a test that was
-- replaced has another id.
WITH present AS MATERIALIZED (
    SELECT test_id, position, status FROM test_result WHERE test_run_id = :run AND organization_id = :organization_id
), earlier AS MATERIALIZED (
    SELECT test_id, position, status FROM test_result
    WHERE test_run_id = :baseline AND organization_id = :organization_id
), present_alone AS (
    SELECT p.*, asked_by(t) AS asked, row_number() OVER (PARTITION BY asked_by(t) ORDER BY p.position) AS nth
    FROM present p JOIN test t ON t.id = p.test_id
    WHERE NOT EXISTS (SELECT FROM earlier e WHERE e.test_id = p.test_id)
), earlier_alone AS (
    SELECT e.*, asked_by(t) AS asked, row_number() OVER (PARTITION BY asked_by(t) ORDER BY e.position) AS nth
    FROM earlier e JOIN test t ON t.id = e.test_id
    WHERE NOT EXISTS (SELECT FROM present p WHERE p.test_id = e.test_id)
), pair AS (
    SELECT p.test_id, e.test_id AS baseline_test_id, p.position, e.position AS baseline_position,
           p.status, e.status AS baseline_status
    FROM present p JOIN earlier e ON e.test_id = p.test_id
    UNION ALL
    SELECT p.test_id, e.test_id, p.position, e.position, p.status, e.status
    FROM present_alone p FULL JOIN earlier_alone e ON e.asked = p.asked AND e.nth = p.nth
), changed AS MATERIALIZED (
    -- Not where the test is read: row-level security lets no index be used for what it takes to be able to leak, as COALESCE.
    SELECT *, coalesce(test_id, baseline_test_id) AS any_test_id, coalesce(position, baseline_position) AS place, (position IS NULL)::integer AS side,
           CASE WHEN baseline_status IS NULL THEN 'only_in_run'
                WHEN status IS NULL THEN 'only_in_baseline'
                WHEN status = baseline_status THEN 'unchanged'
                WHEN status = 'pass' THEN 'newly_passing'
                WHEN status = 'fail' AND baseline_status = 'pass' THEN 'newly_failing'
                WHEN status = 'error' THEN 'newly_errored'
                ELSE 'otherwise' END AS change
    FROM pair
), page AS (
    SELECT * FROM changed
    WHERE change = ANY (CAST(:changes AS text[]))
      AND (place, side) > (CAST(:after_position AS integer), CAST(:after_side AS integer))
    ORDER BY place, side LIMIT :limit
)
SELECT (SELECT jsonb_object_agg(change, tests) FROM (SELECT change, count(*) AS tests FROM changed GROUP BY 1) c) AS counts,
       page.place, page.side, page.change,
       left(asked_by(t) #>> '{}', :excerpt) AS input,
       page.test_id, page.position, page.status,
       CAST(p.scores->>'score' AS double precision) AS score, left(p.output->>'output', :excerpt) AS output,
       left(coalesce(p.error->>'message', p.scores->>'reason'), :excerpt) AS reason,
       page.baseline_test_id, page.baseline_position, page.baseline_status,
       CAST(e.scores->>'score' AS double precision) AS baseline_score, left(e.output->>'output', :excerpt) AS baseline_output,
       left(coalesce(e.error->>'message', e.scores->>'reason'), :excerpt) AS baseline_reason
FROM (SELECT) AS always
LEFT JOIN page ON true
LEFT JOIN test t ON t.id = page.any_test_id
LEFT JOIN test_result p ON p.test_run_id = :run AND p.test_id = page.test_id
LEFT JOIN test_result e ON e.test_run_id = :baseline AND e.test_id = page.baseline_test_id
ORDER BY page.place, page.side
