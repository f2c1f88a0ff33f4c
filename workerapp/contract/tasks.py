"""The names of the tasks that cross from the gateway to the worker, and the headers that travel with them."""

from __future__ import annotations

ECHO = "echo"
COUNT_TEST_SETS = "count_test_sets"
GET_TEST_CONFIGURATION = "get_test_configuration"
MANUAL_DB_EXAMPLE = "manual_db_example"
COUNT_SLOWLY = "count_slowly"
EXECUTE_TEST_CONFIGURATION = "execute_test_configuration"
EXECUTE_TEST_SET = "execute_test_set"
COMPARE_RUNS = "compare_runs"
INVOKE_ENDPOINT = "invoke_endpoint"
RUN_LANE = "run_lane"
COLLECT_RESULTS = "collect_results"

#: What `POST /v1/tasks` accepts unless the allow-list says otherwise.
CALLABLE_BY_NAME = (ECHO, COUNT_TEST_SETS, GET_TEST_CONFIGURATION, MANUAL_DB_EXAMPLE, COUNT_SLOWLY)

#: Ties a task's row to the run it works for.
TEST_RUN_HEADER = "test_run_id"
#: The same for the task that starts the runs of a group.
RUN_GROUP_HEADER = "run_group_id"
#: On the body of a chord: it runs although parts failed, and gets `None` in their places.
JOIN_FAILURES_HEADER = "join_failures"
