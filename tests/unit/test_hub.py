"""Who gets which events within one process, and what happens to those who do not keep up."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest

from gateway.stream.burst import subject_burst
from gateway.stream.envelope import EncodedEvent, encode, encode_snapshot
from gateway.stream.hub import End, Hub, Subscription
from gateway.stream.settings import StreamSettings
from workerapp.contract.events import Event

OURS, THEIRS = uuid4(), uuid4()


def event(seq: int = 1, *, organization_id: UUID = OURS, subject: str = "task-1", text: str = "") -> EncodedEvent:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    return encode(
        Event(
            id=seq,
            type="task.progress",
            subject=subject,
            seq=seq,
            at=at,
            organization_id=organization_id,
            data_json=json.dumps({"text": text}, ensure_ascii=False),
        )
    )


def numbers(subscription: Subscription) -> list[int]:
    return [event.seq for burst in subscription.take() for event in burst.events]


async def test_subscriber_gets_the_events_of_its_subject_in_order() -> None:
    hub = Hub()
    with hub.subscribe(organization_id=OURS, subject_id="task-1") as subscription:
        await hub.publish([event(1), event(1, subject="task-2"), event(2)])
        assert numbers(subscription) == [1, 2]


async def test_another_organizations_subscription_to_the_same_subject_sees_nothing() -> None:
    hub = Hub()
    ours = hub.subscribe(organization_id=OURS, subject_id="task-1")
    theirs = hub.subscribe(organization_id=THEIRS, subject_id="task-1")
    all_theirs = hub.subscribe(organization_id=THEIRS)
    await hub.publish([event(1)])
    assert (numbers(ours), numbers(theirs), numbers(all_theirs)) == ([1], [], [])


async def test_organization_gets_the_events_of_all_its_subjects_and_of_nobody_else() -> None:
    hub = Hub()
    subscription = hub.subscribe(organization_id=OURS)
    await hub.publish([event(1), event(2, subject="task-2"), event(3, organization_id=THEIRS)], cursor="1:2:")
    assert numbers(subscription) == [1, 2]
    assert hub.cursor == "1:2:"


async def test_slow_subscriber_lags_and_ends_while_others_go_on() -> None:
    hub = Hub(StreamSettings(queue_events=3))
    slow = hub.subscribe(organization_id=OURS, subject_id="task-1")
    quick = hub.subscribe(organization_id=OURS, subject_id="task-1")
    seen = []
    for seq in range(1, 6):
        await hub.publish([event(seq)])
        seen += numbers(quick)
    assert seen == [1, 2, 3, 4, 5]
    assert quick.end is None
    assert slow.end is End.LAGGED
    assert numbers(slow) == []


async def test_queue_is_bounded_in_bytes_too_but_takes_one_event_of_any_size() -> None:
    hub = Hub(StreamSettings(queue_bytes=1000))
    subscription = hub.subscribe(organization_id=OURS, subject_id="task-1")
    await hub.publish([event(1, text="x" * 5000)])
    assert subscription.end is None
    await hub.publish([event(2)])
    assert subscription.end is End.LAGGED


async def test_subscription_that_reads_the_table_instead_lags_no_longer() -> None:
    hub = Hub(StreamSettings(queue_events=1))
    subscription = hub.subscribe(organization_id=OURS, subject_id="task-1")
    await hub.publish([event(1), event(2)])
    subscription.discard()
    await hub.publish([event(3)])
    assert subscription.end is None
    subscription.discard()
    await hub.publish([event(4)])
    assert (numbers(subscription), subscription.end) == ([4], None)


async def test_draining_delivers_what_is_queued_and_nothing_more() -> None:
    hub = Hub()
    subscription = hub.subscribe(organization_id=OURS, subject_id="task-1")
    await hub.publish([event(1)])
    hub.drain()
    await hub.publish([event(2)])
    assert (numbers(subscription), subscription.end) == ([1], End.DRAINING)


def test_who_subscribes_while_draining_is_told_at_once() -> None:
    hub = Hub()
    hub.drain()
    assert hub.subscribe(organization_id=OURS, subject_id="task-1").end is End.DRAINING


def test_hub_forgets_a_closed_subscription() -> None:
    hub = Hub()
    with hub.subscribe(organization_id=OURS, subject_id="task-1") as subscription:
        assert len(hub) == 1
        assert hub.wants(OURS, "task-1")
    subscription.close()
    assert len(hub) == 0
    assert not hub.wants(OURS, "task-1")
    assert subscription.end is End.CLOSED


@pytest.mark.parametrize("happening", ["event", "drain", "lag", "close"])
async def test_waiting_subscriber_wakes_at_once(happening: str) -> None:
    hub = Hub()
    subscription = hub.subscribe(organization_id=OURS, subject_id="task-1")
    acts = {
        "event": lambda: subscription.put(subject_burst([event(1)])),
        "drain": hub.drain,
        "lag": hub.lag,
        "close": subscription.close,
    }
    waiting = asyncio.create_task(subscription.wait(3600))
    asyncio.get_running_loop().call_soon(acts[happening])
    async with asyncio.timeout(5):
        await waiting


async def test_waiting_subscriber_is_given_a_rest_when_nothing_happens() -> None:
    subscription = Hub().subscribe(organization_id=OURS, subject_id="task-1")
    async with asyncio.timeout(5):
        await subscription.wait(0.01)
    assert subscription.take() == []


def test_envelope_has_times_in_utc_and_the_data_as_they_are_stored() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone(timedelta(hours=2)))
    data = '{"a": "ü\\n", "b": [1]}'
    encoded = encode(
        Event(id=7, type="task.started", subject="t", seq=2, at=at, organization_id=OURS, data_json=data, xid=9)
    )
    assert encoded.body.decode() == (
        '{"id":7,"type":"task.started","subject":"t","seq":2,"at":"2026-01-02T01:04:05.678000Z",'
        f'"organization_id":"{OURS}","data":{data}}}'
    )
    assert (encoded.xid, encoded.event.data) == (9, {"a": "ü\n", "b": [1]})


def test_snapshot_has_the_same_envelope() -> None:
    snapshot = json.loads(encode_snapshot(OURS, "t", 4, {"status": "STARTED"}).body)
    assert list(snapshot) == list(json.loads(event().body))
    assert (snapshot["id"], snapshot["type"], snapshot["seq"]) == (0, "snapshot", 4)
