-- name: of_run
-- What a run's results add up to, in one statement and so of one moment. `latency_ms` is that of every test that was
-- asked; groups come with the largest first, at most :groups of each kind. Where tests were executed several times, those
-- are told that passed now and failed then, with the one that passed least first.
WITH run AS MATERIALIZED (
    SELECT *, coalesce(CAST(snapshot #>> '{configuration,repeats}' AS integer), 1) > 1 AS repeats_tests
    FROM test_run WHERE id = :run AND organization_id = :organization_id
), result AS MATERIALIZED (
    SELECT test_id, position, status, latency_ms, http_status, error->>'code' AS error_code, scores->'scores' AS scores
    FROM test_result
    WHERE test_run_id = :run AND organization_id = :organization_id AND status NOT IN ('pending', 'cancelled')
), latency AS (
    SELECT count(latency_ms) AS tests, avg(latency_ms) AS mean, max(latency_ms) AS max,
           percentile_cont(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_ms) AS percentiles
    FROM result WHERE latency_ms IS NOT NULL
), by_metric AS (
    SELECT score->>'name' AS name, score->>'type' AS type,
           count(*) FILTER (WHERE score->'passed' = 'true') AS passed,
           count(*) FILTER (WHERE score->'passed' = 'false') AS failed,
           count(*) FILTER (WHERE score->'passed' = 'null') AS unjudged,
           avg((score->>'score')::double precision) AS mean_score
    FROM result CROSS JOIN jsonb_array_elements(scores) AS score
    WHERE scores IS NOT NULL
    GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT :groups
), by_http_status AS (
    SELECT http_status, count(*) AS tests FROM result
    WHERE http_status IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT :groups
), by_error_code AS (
    SELECT error_code AS code, count(*) AS tests FROM result
    WHERE error_code IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT :groups
), by_tag AS (
    SELECT tag, count(*) AS tests, count(*) FILTER (WHERE status = 'pass') AS passed,
           count(*) FILTER (WHERE status = 'fail') AS failed, count(*) FILTER (WHERE status = 'error') AS errored
    FROM result JOIN test t ON t.id = result.test_id CROSS JOIN unnest(t.tags) AS tag
    GROUP BY tag ORDER BY count(*) DESC, tag LIMIT :groups
), by_test AS MATERIALIZED (
    SELECT test_id, position, count(*) AS judged, count(*) FILTER (WHERE status = 'pass') AS passed
    FROM result WHERE status IN ('pass', 'fail') AND (SELECT repeats_tests FROM run)
    GROUP BY test_id, position
), flaky AS (
    SELECT test_id, position, judged, passed FROM by_test WHERE passed > 0 AND passed < judged
    ORDER BY passed::double precision / judged, position LIMIT :groups
), flaky_test AS (
    SELECT flaky.*, left(asked_by(t) #>> '{}', :excerpt) AS input FROM flaky JOIN test t ON t.id = flaky.test_id
), repeat AS (
    SELECT count(*) AS tests, count(*) FILTER (WHERE passed = judged) AS always_passed,
           count(*) FILTER (WHERE passed = 0) AS always_failed,
           count(*) FILTER (WHERE passed > 0 AND passed < judged) AS flaky,
           (SELECT coalesce(jsonb_agg(flaky_test ORDER BY passed::double precision / judged, position), '[]')
            FROM flaky_test) AS flaky_tests
    FROM by_test
)
SELECT r.id, r.status, r.planned, r.pending, r.passed, r.failed, r.errored, r.cancelled, r.unscored,
       r.started_at, r.finished_at,
       (SELECT to_jsonb(latency) FROM latency WHERE tests > 0) AS latency,
       (SELECT coalesce(jsonb_agg(by_metric), '[]') FROM by_metric) AS metrics,
       (SELECT coalesce(jsonb_agg(by_http_status), '[]') FROM by_http_status) AS http_statuses,
       (SELECT coalesce(jsonb_agg(by_error_code), '[]') FROM by_error_code) AS error_codes,
       (SELECT coalesce(jsonb_agg(by_tag), '[]') FROM by_tag) AS tags,
       (SELECT to_jsonb(repeat) FROM repeat WHERE r.repeats_tests) AS repeats
FROM run r
