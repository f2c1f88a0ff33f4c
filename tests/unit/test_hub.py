"""Who gets which events within one process, and what happens to those who do not keep up."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest

from gateway.stream.burst import subject_burst
from gateway.stream.envelope import EncodedEvent, encode, encode_snapshot
from gateway.stream.hub import End, Hub, Room, Subscription
from gateway.stream.organization_cursor import Mark, Position
from gateway.stream.settings import StreamSettings
from gateway.stream.snapshot import Snapshot
from gateway.stream.span import Span
from workerapp.contract.events import Event

OURS, THEIRS = uuid4(), uuid4()
START = Position(b"12345678", Mark(Snapshot(10, 10), newest_id=0, next_xid=10))
SPAN = Span(START, START.advanced_to(Mark(Snapshot(20, 20), newest_id=9, next_xid=20)))


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
        await hub.publish([event(1), event(1, subject="task-2"), event(2)], SPAN)
        assert numbers(subscription) == [1, 2]


async def test_another_organizations_subscription_to_the_same_subject_sees_nothing() -> None:
    hub = Hub()
    ours = hub.subscribe(organization_id=OURS, subject_id="task-1")
    theirs = hub.subscribe(organization_id=THEIRS, subject_id="task-1")
    all_theirs = hub.subscribe(organization_id=THEIRS)
    await hub.publish([event(1)], SPAN)
    assert (numbers(ours), numbers(theirs), numbers(all_theirs)) == ([1], [], [])


async def test_organization_gets_the_events_of_all_its_subjects_and_of_nobody_else() -> None:
    hub = Hub()
    subscription = hub.subscribe(organization_id=OURS)
    await hub.publish([event(1), event(2, subject="task-2"), event(3, organization_id=THEIRS)], SPAN)
    assert numbers(subscription) == [1, 2]
    assert hub.position == SPAN.after


async def test_slow_subscriber_lags_and_ends_while_others_go_on() -> None:
    hub = Hub(StreamSettings(queue_events=3))
    slow = hub.subscribe(organization_id=OURS, subject_id="task-1")
    quick = hub.subscribe(organization_id=OURS, subject_id="task-1")
    seen = []
    for seq in range(1, 6):
        await hub.publish([event(seq)], SPAN)
        seen += numbers(quick)
    assert seen == [1, 2, 3, 4, 5]
    assert quick.end is None
    assert slow.end is End.LAGGED
    assert numbers(slow) == []


async def test_queue_is_bounded_in_bytes_too_but_takes_one_event_of_any_size() -> None:
    hub = Hub(StreamSettings(queue_bytes=1000))
    subscription = hub.subscribe(organization_id=OURS, subject_id="task-1")
    await hub.publish([event(1, text="x" * 5000)], SPAN)
    assert subscription.end is None
    await hub.publish([event(2)], SPAN)
    assert subscription.end is End.LAGGED


async def test_subscription_that_reads_the_table_instead_lags_no_longer() -> None:
    hub = Hub(StreamSettings(queue_events=1))
    subscription = hub.subscribe(organization_id=OURS, subject_id="task-1")
    await hub.publish([event(1), event(2)], SPAN)
    subscription.discard()
    await hub.publish([event(3)], SPAN)
    assert subscription.end is None
    subscription.discard()
    await hub.publish([event(4)], SPAN)
    assert (numbers(subscription), subscription.end) == ([4], None)


async def test_draining_delivers_what_is_queued_and_nothing_more() -> None:
    hub = Hub()
    subscription = hub.subscribe(organization_id=OURS, subject_id="task-1")
    await hub.publish([event(1)], SPAN)
    hub.drain()
    await hub.publish([event(2)], SPAN)
    assert (numbers(subscription), subscription.end) == ([1], End.DRAINING)


def test_who_subscribes_while_draining_is_told_at_once() -> None:
    hub = Hub()
    hub.drain()
    assert hub.subscribe(organization_id=OURS, subject_id="task-1").end is End.DRAINING


async def test_organizations_have_room_of_their_own_and_the_process_has_its_limit() -> None:
    hub = Hub(StreamSettings(max_streams_per_organization=2, max_streams=3))
    ours = [hub.subscribe(organization_id=OURS, subject_id=f"task-{number}") for number in range(2)]
    assert (hub.room_for(OURS), hub.room_for(THEIRS)) == (Room.ORGANIZATION_FULL, Room.FREE)
    hub.subscribe(organization_id=THEIRS)
    assert hub.room_for(uuid4()) is Room.FULL
    assert hub.room_for(THEIRS, 1) is Room.ORGANIZATION_FULL
    ours[0].close()
    ours[0].close()
    assert (hub.room_for(OURS), hub.room_for(uuid4()), len(hub)) == (Room.FREE, Room.FREE, 2)


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


async def test_wait_that_is_cancelled_in_the_moment_of_the_news_disturbs_nobody() -> None:
    hub = Hub()
    with hub.subscribe(organization_id=OURS) as leaving, hub.subscribe(organization_id=OURS) as staying:
        waiting = asyncio.create_task(leaving.wait(60))
        await asyncio.sleep(0)
        assert leaving.is_attached
        waiting.cancel()
        await hub.publish([event()], SPAN)
        assert staying.has_news
        with pytest.raises(asyncio.CancelledError):
            await waiting
