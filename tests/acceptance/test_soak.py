"""The short form of the soak: clients come and go, gateway and tail are cut off once, and everything is told once."""

from __future__ import annotations

from uuid import uuid4

from tests.soak.faults import Fault
from tests.soak.session import Options, soak
from tests.soak.truth import Difference, Numbered, Stored, Told, difference
from tests.soak.watcher import Habits


def test_every_client_is_told_every_event_once_and_in_order_whatever_breaks():
    report = soak(
        Options(
            seed=7,
            events=2_000,
            resumes=50,
            faults={Fault.GATEWAY_KILLED: 1, Fault.TAIL_DROPPED: 1},
            organizations=2,
            writers=8,
            subjects=2,
            gateways=1,
            pause=1.5,
            settle=60,
            habits=Habits(stays=0.5),
            slow=Habits(stays=1, stalls=1),
        )
    )
    assert report.is_good, "\n".join([*report.fault_log, str(report)])
    assert report.faults == {Fault.GATEWAY_KILLED: 1, Fault.TAIL_DROPPED: 1}
    assert report.events >= 2_000
    assert report.resumes >= 50
    assert report.rolled_back > 0


def test_the_comparison_finds_what_is_lost_told_again_out_of_order_or_invented():
    organization_id = uuid4()
    rows = [
        Stored(
            organization_id=organization_id,
            subject="task",
            seq=number,
            id=10 * number,
            type="task.progress",
            task_name="echo",
            status="STARTED",
        )
        for number in (1, 2, 3, 4)
    ]

    def told(*seqs: int) -> Difference:
        heard = Told()
        heard.by_subject["task"] = [Numbered(seq, 10 * seq) for seq in seqs]
        return difference(heard, rows)

    assert told(1, 2, 3, 4) == Difference()
    assert told(1, 2, 4) == Difference(lost=1)
    assert told(1, 2, 2, 3, 4) == Difference(repeated=1)
    assert told(2, 1, 3, 4) == Difference(out_of_order=1)
    assert told(1, 2, 3, 4, 5) == Difference(invented=1)
