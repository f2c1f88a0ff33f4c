-- Comparing runs test by test. These functions see what their caller may see.

-- The tests of two runs side by side, and how the status of each changed. A test of both runs is paired with itself. What
-- is left is paired by what it asks (its input, or those of its turns), in the order of the tests where several ask the
-- same: a test that was replaced has another id. Grouped instead of joined: the planner knows nothing of how many results
-- a run has.
CREATE OR REPLACE FUNCTION paired_results(p_organization uuid, p_run uuid, p_baseline uuid)
RETURNS TABLE (test_id uuid, baseline_test_id uuid, "position" integer, baseline_position integer, status text,
               baseline_status text, change text)
LANGUAGE sql STABLE SET search_path = gateway, pg_temp AS $$
    WITH by_test AS MATERIALIZED (
        SELECT r.test_id,
               max(r.position) FILTER (WHERE r.test_run_id = p_run) AS position,
               max(r.position) FILTER (WHERE r.test_run_id = p_baseline) AS baseline_position,
               max(r.status) FILTER (WHERE r.test_run_id = p_run) AS status,
               max(r.status) FILTER (WHERE r.test_run_id = p_baseline) AS baseline_status
        FROM test_result r
        WHERE r.test_run_id IN (p_run, p_baseline) AND r.organization_id = p_organization
        GROUP BY r.test_id
    ), alone AS (
        SELECT b.*, asked_by(t) AS asked, row_number() OVER (
                   PARTITION BY b.status IS NULL, asked_by(t) ORDER BY b.position, b.baseline_position) AS nth
        FROM by_test b JOIN test t ON t.id = b.test_id
        WHERE b.status IS NULL OR b.baseline_status IS NULL
    ), pair AS (
        SELECT b.test_id, b.test_id AS baseline_test_id, b.position, b.baseline_position, b.status, b.baseline_status
        FROM by_test b WHERE b.status IS NOT NULL AND b.baseline_status IS NOT NULL
        UNION ALL
        SELECT (array_agg(a.test_id) FILTER (WHERE a.status IS NOT NULL))[1],
               (array_agg(a.test_id) FILTER (WHERE a.baseline_status IS NOT NULL))[1],
               max(a.position), max(a.baseline_position), max(a.status), max(a.baseline_status)
        FROM alone a GROUP BY a.asked, a.nth
    )
    SELECT p.*, CASE WHEN p.baseline_status IS NULL THEN 'only_in_run'
                     WHEN p.status IS NULL THEN 'only_in_baseline'
                     WHEN p.status = p.baseline_status THEN 'unchanged'
                     WHEN p.status = 'pass' THEN 'newly_passing'
                     WHEN p.status = 'fail' AND p.baseline_status = 'pass' THEN 'newly_failing'
                     WHEN p.status = 'error' THEN 'newly_errored'
                     ELSE 'otherwise' END
    FROM pair p
$$;
