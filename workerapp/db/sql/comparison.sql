-- Comparing runs test by test. These functions see what their caller may see.

-- A test that a run executed several times has the first of these that one of its repeats has: it has passed only if it
-- always did.
CREATE OR REPLACE FUNCTION worst_first() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['error', 'fail', 'pending', 'cancelled', 'unscored', 'pass']
$$;

-- The tests of two runs side by side, and how the status of each changed. A test of both runs is paired with itself. What
-- is left is paired by what it asks (its input, or those of its turns), in the order of the tests where several ask the
-- same: a test that was replaced has another id. Grouped instead of joined: the planner knows nothing of how many results
-- a run has.
CREATE OR REPLACE FUNCTION paired_results(p_organization uuid, p_run uuid, p_baseline uuid)
RETURNS TABLE (test_id uuid, baseline_test_id uuid, "position" integer, baseline_position integer,
               repeats bigint, baseline_repeats bigint, passed bigint, baseline_passed bigint, status text,
               baseline_status text, change text)
LANGUAGE sql STABLE SET search_path = gateway, pg_temp AS $$
    WITH by_test AS MATERIALIZED (
        SELECT r.test_id,
               max(r.position) FILTER (WHERE r.test_run_id = p_run) AS position,
               max(r.position) FILTER (WHERE r.test_run_id = p_baseline) AS baseline_position,
               count(*) FILTER (WHERE r.test_run_id = p_run) AS repeats,
               count(*) FILTER (WHERE r.test_run_id = p_baseline) AS baseline_repeats,
               count(*) FILTER (WHERE r.test_run_id = p_run AND r.status = 'pass') AS passed,
               count(*) FILTER (WHERE r.test_run_id = p_baseline AND r.status = 'pass') AS baseline_passed,
               (worst_first())[min(array_position(worst_first(), r.status)) FILTER (
                   WHERE r.test_run_id = p_run)] AS status,
               (worst_first())[min(array_position(worst_first(), r.status)) FILTER (
                   WHERE r.test_run_id = p_baseline)] AS baseline_status
        FROM test_result r
        WHERE r.test_run_id IN (p_run, p_baseline) AND r.organization_id = p_organization
        GROUP BY r.test_id
    ), alone AS (
        SELECT b.*, asked_by(t) AS asked, row_number() OVER (
                   PARTITION BY b.status IS NULL, asked_by(t) ORDER BY b.position, b.baseline_position) AS nth
        FROM by_test b JOIN test t ON t.id = b.test_id
        WHERE b.status IS NULL OR b.baseline_status IS NULL
    ), pair AS (
        SELECT b.test_id, b.test_id AS baseline_test_id, b.position, b.baseline_position,
               b.repeats, b.baseline_repeats, b.passed, b.baseline_passed, b.status, b.baseline_status
        FROM by_test b WHERE b.status IS NOT NULL AND b.baseline_status IS NOT NULL
        UNION ALL
        SELECT (array_agg(a.test_id) FILTER (WHERE a.status IS NOT NULL))[1],
               (array_agg(a.test_id) FILTER (WHERE a.baseline_status IS NOT NULL))[1],
               max(a.position), max(a.baseline_position), max(a.repeats), max(a.baseline_repeats),
               max(a.passed), max(a.baseline_passed), max(a.status), max(a.baseline_status)
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

-- What came of each test in each run of a group, in the terms of its baseline: `key` is the test there, or the run's own
-- where the baseline does not have it. A test differs if it ended in two ways, or if one of the runs that were planned
-- does not have it.
CREATE OR REPLACE FUNCTION group_outcomes(p_organization uuid, p_group uuid)
RETURNS TABLE (key uuid, place integer, test_run_id uuid, test_id uuid, "position" integer, repeats bigint,
               passed bigint, status text, change text, differs boolean)
LANGUAGE sql STABLE SET search_path = gateway, pg_temp AS $$
    WITH run AS MATERIALIZED (
        SELECT r.id, g.baseline_id, count(r.planned) OVER () AS planned
        FROM run_group g JOIN test_run r ON r.run_group_id = g.id
        WHERE g.id = p_group AND g.organization_id = p_organization
    ), outcome AS MATERIALIZED (
        SELECT coalesce(p.baseline_test_id, p.test_id) AS key, coalesce(p.baseline_position, p.position) AS place,
               run.id, p.test_id, p.position, p.repeats, p.passed, p.status, p.change, run.planned
        FROM run CROSS JOIN LATERAL paired_results(p_organization, run.id, run.baseline_id) p
    ), different AS (
        SELECT o.key, min(o.place) AS place, min(o.status) <> max(o.status) OR count(o.status) < o.planned AS differs
        FROM outcome o GROUP BY o.key, o.planned
    )
    SELECT o.key, d.place, o.id, o.test_id, o.position, o.repeats, o.passed, o.status, o.change, d.differs
    FROM outcome o JOIN different d ON d.key = o.key
$$;

-- What `run_group.comparison` keeps: on how many tests the runs differ, and of each run what came of it and how it
-- differs from the baseline.
CREATE OR REPLACE FUNCTION compare_group(p_organization uuid, p_group uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = gateway, pg_temp AS $$
    WITH outcome AS MATERIALIZED (
        SELECT * FROM group_outcomes(p_organization, p_group)
    ), changed AS (
        SELECT c.test_run_id, jsonb_object_agg(c.change, c.tests) AS changes
        FROM (SELECT o.test_run_id, o.change, count(*) AS tests FROM outcome o GROUP BY 1, 2) c GROUP BY 1
    ), run AS (
        SELECT r.group_place, jsonb_build_object(
                   'test_run_id', r.id, 'test_configuration_id', r.test_configuration_id, 'status', r.status,
                   'total', r.planned, 'passed', r.passed, 'failed', r.failed, 'errored', r.errored,
                   'cancelled', r.cancelled, 'unscored', r.unscored,
                   'pass_rate', round(r.passed::numeric / NULLIF(r.passed + r.failed + r.errored, 0), 6),
                   'changes', CASE WHEN r.id <> g.baseline_id THEN coalesce(c.changes, '{}') END) AS told
        FROM run_group g JOIN test_run r ON r.run_group_id = g.id LEFT JOIN changed c ON c.test_run_id = r.id
        WHERE g.id = p_group AND g.organization_id = p_organization
    )
    SELECT jsonb_build_object(
        'tests', (SELECT count(DISTINCT o.key) FROM outcome o),
        'differing', (SELECT count(DISTINCT o.key) FROM outcome o WHERE o.differs),
        'runs', (SELECT jsonb_agg(run.told ORDER BY run.group_place) FROM run))
$$;
