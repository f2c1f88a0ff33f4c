"""What the gateway asks of the database for a status read and for an execution, as SQL for asyncpg."""

from __future__ import annotations

TENANT = "SELECT set_config('app.current_organization', $1, true), set_config('app.current_user', $2, true)"
READ = """
SELECT task.id AS task_id, task.name, task.state AS status, task.retries, task.queue, task.worker, task.test_run_id,
       task.created_at, task.started_at, task.finished_at, task.seq, task.result, task.progress,
       task_error_message(task.error) AS error, task.error ->> $1::text AS error_type
FROM task WHERE task.organization_id = $2::uuid AND task.id = $3
"""
USABLE = """
SELECT c.spec, c.archived_at, e.archived_at, s.archived_at,
       (SELECT count(*) FROM test t WHERE t.test_set_id = s.id AND t.archived_at IS NULL)
FROM test_configuration c JOIN endpoint e ON e.id = c.endpoint_id JOIN test_set s ON s.id = c.test_set_id
WHERE c.organization_id = $1::uuid AND c.id = $2::uuid
"""
LOAD = """
SELECT count(*), coalesce(sum(CASE WHEN planned IS NULL THEN expected ELSE pending END), 0)
FROM test_run WHERE organization_id = $1::uuid AND finished_at IS NULL
"""
RUN = """
INSERT INTO test_run (organization_id, test_configuration_id, task_id, deadline_at, expected)
VALUES ($1::uuid, $2::uuid, $3, now() + interval '1 day', 10) RETURNING id
"""
PUBLISH = "SELECT broker_publish($1, CAST($2 AS jsonb))"
AUDIT = """
INSERT INTO audit_event (organization_id, actor, action, resource_type, resource_id)
VALUES ($1::uuid, 'key', 'test_configuration.execute', 'test_configuration', $2)
"""
