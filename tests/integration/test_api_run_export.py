"""A run's results as files."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import httpx
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import add_configuration, add_run, connect
from tests.rest import Tenant, gateway

#: What each test was asked, what came of it, and what was answered.
RESULTS: list[tuple[Any, str, Any]] = [
    ("plain", "pass", "an answer"),
    ('<b>"quoted" & \x01bad\n</b>', "fail", "]]> \x0c<&"),
    ([{"role": "user", "content": "hello"}], "error", None),
    ("=cmd|' /C calc'!A0", "unscored", "@SUM(A1)"),
    ("-5", "cancelled", None),
]
SCORE = {
    "name": "exact",
    "type": "equals",
    "score": 0.25,
    "passed": False,
    "threshold": None,
    "reason": '"a" is not "b"',
    "duration_ms": 0.1,
}
SCORES = {"status": "fail", "score": 0.25, "reason": 'exact: "a" is not "b"', "scores": [SCORE]}
ERROR = {"code": "timeout", "message": "no answer within 30 s"}


@pytest.fixture
def run(database: TestDatabase, tenant: Tenant) -> UUID:
    """A run that has ended."""
    return _add_run(database, tenant, RESULTS)


async def test_json_lines_are_the_results_as_pages_have_them(api: httpx.AsyncClient, run: UUID) -> None:
    response = await api.get(f"/v1/test-runs/{run}/export")
    assert response.headers["content-disposition"] == f'attachment; filename="test-run-{run}.jsonl"'
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert lines == (await api.get(f"/v1/test-runs/{run}/results")).json()["items"]


async def test_csv_has_a_heading_and_a_line_for_each_result(api: httpx.AsyncClient, run: UUID) -> None:
    rows = await _csv(api, run)
    assert list(rows[0]) == [
        *("position", "test_id", "status", "input", "expected", "output", "score", "reason"),
        *("latency_ms", "attempts", "http_status", "error_code", "error_message", "finished_at", "turns", "repeat"),
    ]
    assert [(row["position"], row["status"]) for row in rows] == [
        (str(position), status) for position, (_, status, _) in enumerate(RESULTS)
    ]
    assert (rows[1]["input"], rows[1]["score"], rows[1]["reason"]) == (RESULTS[1][0], "0.25", SCORES["reason"])
    assert json.loads(rows[2]["input"]) == RESULTS[2][0]
    assert (rows[2]["output"], rows[2]["error_code"], rows[2]["error_message"]) == ("", "timeout", ERROR["message"])


async def test_csv_has_no_formulas_and_leaves_numbers_alone(api: httpx.AsyncClient, run: UUID) -> None:
    rows = await _csv(api, run)
    assert (rows[3]["input"], rows[3]["output"]) == ("'=cmd|' /C calc'!A0", "'@SUM(A1)")
    assert rows[4]["input"] == "-5"


async def test_a_junit_report_counts_and_explains_what_did_not_pass(api: httpx.AsyncClient, run: UUID) -> None:
    suite = await _suite(api, run)
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "2",
    }
    cases = suite.findall("testcase")
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["error"], ["skipped"], ["skipped"]]
    failure, error = cases[1][0], cases[2][0]
    assert (failure.get("type"), failure.get("message")) == ("equals", SCORES["reason"])
    assert (error.get("type"), error.get("message")) == ("timeout", ERROR["message"])
    assert cases[0].get("time") == "0.012"
    assert cases[1].get("classname") == suite.get("name") == "configuration"


async def test_a_junit_report_is_xml_whatever_was_answered(api: httpx.AsyncClient, run: UUID) -> None:
    case = (await _suite(api, run)).findall("testcase")[1]
    assert case.get("name") == '00001 <b>"quoted" & bad </b>'
    assert "output: ]]> <&" in (case[0].text or "")


async def test_a_junit_report_is_only_of_a_run_that_has_ended(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    running = _add_run(database, tenant, RESULTS[:1], status="running", finished_at=None)
    refused = await api.get(f"/v1/test-runs/{running}/export?format=junit")
    assert (refused.status_code, refused.json()["code"]) == (409, "run_not_ended")
    assert len((await api.get(f"/v1/test-runs/{running}/export")).text.splitlines()) == 1


async def test_a_file_of_many_pages_has_every_result_once(database: TestDatabase, tenant: Tenant) -> None:
    run = _add_run(database, tenant, [(f"q{number}", "pass", "x") for number in range(7)])
    async with gateway(database.url, export_page_size=3) as served, served.client(tenant) as client:
        lines = (await client.get(f"/v1/test-runs/{run}/export")).text.splitlines()
    assert [json.loads(line)["input"] for line in lines] == [f"q{number}" for number in range(7)]


async def test_every_repeat_of_a_test_is_a_result_of_its_own(database: TestDatabase, tenant: Tenant) -> None:
    run = _add_run(database, tenant, RESULTS[:2])
    with connect(database.admin_url) as admin:
        admin.execute(
            "INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat, status)"
            " SELECT test_run_id, test_id, organization_id, position, 2, 'pass' FROM test_result"
        )
    async with gateway(database.url, export_page_size=1) as served, served.client(tenant) as client:
        rows = await _csv(client, run)
        cases = (await _suite(client, run)).findall("testcase")
    assert [(row["position"], row["repeat"]) for row in rows] == [("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")]
    assert [case.get("name") for case in cases[:2]] == ["00000 plain", "00000 (repeat 2) plain"]


async def test_a_format_that_does_not_exist_is_refused(api: httpx.AsyncClient, run: UUID) -> None:
    response = await api.get(f"/v1/test-runs/{run}/export?format=pdf")
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")


def _add_run(database: TestDatabase, tenant: Tenant, results: list[tuple[Any, str, Any]], **columns: Any) -> UUID:
    counts = {"pass": "passed", "fail": "failed", "error": "errored", "cancelled": "cancelled", "unscored": "unscored"}
    ended: dict[str, Any] = {"status": "partial", "planned": len(results), "finished_at": "2026-01-05T09:00:02Z"}
    ended |= {column: sum(result[1] == status for result in results) for status, column in counts.items()}
    with connect(database.admin_url) as admin:
        configuration = add_configuration(
            admin, tenant.organization_id, tests=[{"input": asked, "expected": "b"} for asked, _, _ in results]
        )
        run = add_run(
            admin, tenant.organization_id, configuration, started_at="2026-01-05T09:00:00Z", **(ended | columns)
        )
        for position, (_, status, output) in enumerate(results):
            admin.execute(
                "INSERT INTO test_result (test_run_id, test_id, organization_id, position, status, output, scores,"
                " error, latency_ms) SELECT %s, t.id, t.organization_id, t.position, %s, %s, %s, %s, 12.4"
                " FROM test t JOIN test_configuration c USING (test_set_id) WHERE c.id = %s AND t.position = %s",
                (
                    *(run, status, None if output is None else Jsonb({"output": output, "model": "m"})),
                    *(Jsonb(SCORES) if status == "fail" else None, Jsonb(ERROR) if status == "error" else None),
                    *(configuration, position),
                ),
            )
    return run


async def _csv(api: httpx.AsyncClient, run: UUID) -> list[dict[str, str]]:
    response = await api.get(f"/v1/test-runs/{run}/export?format=csv")
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


async def _suite(api: httpx.AsyncClient, run: UUID) -> ET.Element:
    response = await api.get(f"/v1/test-runs/{run}/export?format=junit")
    (suite,) = ET.fromstring(response.content)
    return suite
