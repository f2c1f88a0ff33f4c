-- name: of_runs
-- The tests of two runs side by side (see `paired_results`): how many changed in which way, and one page of those whose
-- change is asked for, behind the place (:after_position, :after_side).
WITH changed AS MATERIALIZED (
    -- Not where the test is read: row-level security lets no index be used for what it takes to be able to leak, as COALESCE.
    SELECT *, coalesce(test_id, baseline_test_id) AS any_test_id, coalesce(position, baseline_position) AS place,
           (position IS NULL)::integer AS side
    FROM paired_results(:organization_id, :run, :baseline)
), page AS (
    SELECT * FROM changed
    WHERE change = ANY (CAST(:changes AS text[]))
      AND (place, side) > (CAST(:after_position AS integer), CAST(:after_side AS integer))
    ORDER BY place, side LIMIT :limit
)
SELECT (SELECT jsonb_object_agg(change, tests) FROM (SELECT change, count(*) AS tests FROM changed GROUP BY 1) c) AS counts,
       page.place, page.side, page.change,
       left(asked_by(t) #>> '{}', :excerpt) AS input,
       page.test_id, page.position, page.status, page.repeats, page.passed,
       CAST(p.scores->>'score' AS double precision) AS score, left(p.output->>'output', :excerpt) AS output,
       left(coalesce(p.error->>'message', p.scores->>'reason'), :excerpt) AS reason,
       page.baseline_test_id, page.baseline_position, page.baseline_status, page.baseline_repeats, page.baseline_passed,
       CAST(e.scores->>'score' AS double precision) AS baseline_score, left(e.output->>'output', :excerpt) AS baseline_output,
       left(coalesce(e.error->>'message', e.scores->>'reason'), :excerpt) AS baseline_reason
FROM (SELECT) AS always
LEFT JOIN page ON true
LEFT JOIN test t ON t.id = page.any_test_id
LEFT JOIN LATERAL (
    SELECT scores, output, error FROM test_result
    WHERE test_run_id = :run AND test_id = page.test_id AND status = page.status ORDER BY repeat LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT scores, output, error FROM test_result
    WHERE test_run_id = :baseline AND test_id = page.baseline_test_id AND status = page.baseline_status
    ORDER BY repeat LIMIT 1
) e ON true
ORDER BY page.place, page.side
