-- name: of_run
-- What a run's results add up to, in one statement and so of one moment. `latency_ms` is that of every test that was
-- asked; groups come with the largest first, at most :groups of each kind.
WITH result AS MATERIALIZED (
    SELECT latency_ms, http_status, error->>'code' AS error_code, scores->'scores' AS scores
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
)
SELECT r.id, r.status, r.planned, r.pending, r.passed, r.failed, r.errored, r.cancelled, r.unscored,
       r.started_at, r.finished_at,
       (SELECT to_jsonb(latency) FROM latency WHERE tests > 0) AS latency,
       (SELECT coalesce(jsonb_agg(by_metric), '[]') FROM by_metric) AS metrics,
       (SELECT coalesce(jsonb_agg(by_http_status), '[]') FROM by_http_status) AS http_statuses,
       (SELECT coalesce(jsonb_agg(by_error_code), '[]') FROM by_error_code) AS error_codes
FROM test_run r WHERE r.id = :run AND r.organization_id = :organization_id
