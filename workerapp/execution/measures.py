"""What is measured while tests are executed, by whichever process of the worker executes them."""

from __future__ import annotations

from workerapp.contract.reasons import ErrorCode
from workerapp.contract.states import ResultStatus
from workerapp.instruments import Count, Durations, Level

_REQUEST_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STATEMENT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

#: A request that got an answer; all others have the code of what went wrong.
ANSWERED = "answered"
#: The test's time was over, or its run ended, before the request did.
BROKEN_OFF = "broken_off"
#: A slice of a lane that ended by an error.
BROKEN = "broken"
SCORED, FAILED = "scored", "failed"
SETTLED, OPEN = "true", "false"

SLICES = Count(
    "gateway_lane_slices",
    "Slices of lanes that have ended.",
    "outcome",
    # The first four are those of SliceOutcome.
    ("finished", "continues", "busy", "passed", BROKEN),
)
LANES = Level("gateway_lanes_active", "Slices of lanes under way.")
TESTS = Count(
    "gateway_tests",
    "Tests executed.",
    "status",
    (ResultStatus.PASS, ResultStatus.FAIL, ResultStatus.ERROR, ResultStatus.UNSCORED),
)
TESTS_UNDER_WAY = Level("gateway_tests_active", "Tests under way.")
PLACE_WAITS = Durations(
    "gateway_lane_place_wait_seconds", "How long tests waited for a place at their endpoint.", buckets=_REQUEST_BUCKETS
)
REQUESTS = Durations(
    "gateway_target_request_duration_seconds",
    "Requests to applications under test and to judges.",
    "outcome",
    (ANSWERED, BROKEN_OFF, *ErrorCode),
    buckets=_REQUEST_BUCKETS,
)
JUDGES = Durations(
    "gateway_judge_duration_seconds",
    "From the question to a judge to its score, with all its requests.",
    "outcome",
    (SCORED, FAILED),
    buckets=_REQUEST_BUCKETS,
)
WRITES = Durations(
    "gateway_results_write_duration_seconds",
    "Statements that write results; settled tells whether the run has ended.",
    "settled",
    (OPEN, SETTLED),
    buckets=_STATEMENT_BUCKETS,
)
MEASURES = (SLICES, LANES, TESTS, TESTS_UNDER_WAY, PLACE_WAITS, REQUESTS, JUDGES, WRITES)
