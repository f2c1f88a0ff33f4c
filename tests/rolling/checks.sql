-- Each statement finds what must not be there after restarts in good order, beyond what tests/faults/checks.sql finds.

-- name: unasked_tasks
SELECT 'task ' || id || ' was made and no caller knows it' FROM task
WHERE name = 'tests.faults.count' AND NOT id = ANY (%(tasks)s::text[]);

-- name: executed_again
SELECT 'task ' || task_id || ' was executed ' || count(*) || ' times'
FROM faults.execution GROUP BY task_id, task HAVING count(*) <> 1;
