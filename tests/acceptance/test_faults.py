"""The short form of the fault run: everything is killed, crashed, stopped and cut off once, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.faults import checks, stack
from tests.faults.load import Ledger
from tests.faults.session import Options, fault_run
from tests.postgres import TestDatabase
from tests.records import add_organization, add_task, connect, plan


def test_nothing_is_lost_or_done_twice_whatever_breaks():
    report = fault_run(Options(seed=7, seconds=0, outage=3, pause=2, settle=30))
    assert report.is_good, "\n".join([*report.fault_log, str(report)])
    assert len(report.faults) == 7
    assert report.runs > 0
    assert report.chords > 0
    assert (report.lost, report.duplicated) == (0, 0)


def test_every_check_finds_what_it_is_for(database: TestDatabase):
    with connect(database.admin_url) as admin:
        admin.execute(Path(stack.__file__).with_name("probe.sql").read_bytes())
        assert not any(checks.found_in_rows(admin, Ledger()).values())
        break_everything(admin)
        found = checks.found_in_rows(admin, Ledger(chords=["never run"], tasks=["never made"]))
    assert {name for name, texts in found.items() if not texts} == set()


def break_everything(admin: psycopg.Connection) -> None:
    organization_id = add_organization(admin)
    run = plan(admin, organization_id, 3)
    admin.execute("UPDATE test_run SET passed = 1 WHERE id = %s", (run.id,))
    admin.execute("UPDATE test_result SET status = 'pass' WHERE position = 2")
    add_task(admin, organization_id, state="FAILURE")
    admin.execute("INSERT INTO chord (group_id, size, done) VALUES ('open', 2, 1)")
    for seq in (101, 102):
        admin.execute(
            "INSERT INTO task_event (organization_id, subject_id, seq, type, data)"
            " VALUES (%s, 'twice', %s, 'test_result.finished', '{\"position\": 1}')",
            (organization_id, seq),
        )
        admin.execute(
            "INSERT INTO broker_message (queue, organization_id, rank, visible_at, task_id, message)"
            " VALUES ('celery', %s, 9, now(), 'twice', '{\"headers\": {\"task\": \"collect_results\"}}')",
            (organization_id,),
        )
