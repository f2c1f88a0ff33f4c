"""Opens what can be followed, for whichever protocol carries it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from gateway.api.paging import not_found
from gateway.auth.authenticate_stream import StreamCaller
from gateway.errors import OrganizationStreamsFull, StreamsFull
from gateway.services import Services
from gateway.stream.event_filter import EventFilter
from gateway.stream.event_log import After
from gateway.stream.follow import Opened, Representation, SubjectFeed
from gateway.stream.follow_organization import OrganizationFeed
from gateway.stream.hub import Room
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.caller import Caller
from workerapp.db.statements import clause
from workerapp.db.tenant import tenant_transaction

WHAT = {SubjectKind.TASK: "task", SubjectKind.TEST_RUN: "test run", SubjectKind.RUN_GROUP: "run group"}


async def open_subject(
    services: Services, watcher: StreamCaller, subject: Subject, after: int | None
) -> SubjectFeed | None:
    """The stream of one subject; none if the client has all of it and nothing will come.

    Raises:
        NotFound: there is no such subject, it is another organization's, or not this watcher's.
        OrganizationStreamsFull, StreamsFull: too many streams are open.
    """
    caller = watcher.caller
    if not watcher.may_watch(subject):
        raise not_found(WHAT[subject.kind], subject.id)
    _check_room(services, caller)

    async def read() -> Representation | None:
        return await _read_subject(services, caller, subject)

    feed = SubjectFeed(
        hub=services.hub,
        log=services.log,
        caller=caller,
        subject_id=subject.id,
        read=read,
        after=after,
        settings=services.settings.stream,
    )
    with ExitStack() as unless_followed:
        subscription = unless_followed.enter_context(feed.subscribe())
        now = await read()
        if now is None:
            raise not_found(WHAT[subject.kind], subject.id)
        if now.ends_at(after):
            return None
        unless_followed.pop_all()
    return replace(feed, opened=Opened(subscription, now))


def open_organization(services: Services, watcher: StreamCaller, after: After, only: EventFilter) -> OrganizationFeed:
    """The stream of the watcher's organization.

    Raises:
        StreamTokenRefused: the watcher's token is for one subject.
        OrganizationStreamsFull, StreamsFull: too many streams are open.
    """
    caller = watcher.of_organization()
    _check_room(services, caller)
    return OrganizationFeed(
        hub=services.hub, log=services.log, caller=caller, after=after, only=only, settings=services.settings.stream
    )


async def _read_subject(services: Services, caller: Caller, subject: Subject) -> Representation | None:
    parameters = {"id": subject.id, "organization_id": caller.organization_id}
    async with tenant_transaction(services.engine, caller) as connection:
        row = (await connection.execute(clause("subjects", subject.kind), parameters)).mappings().one_or_none()
    return None if row is None else Representation(**row)


def _check_room(services: Services, caller: Caller) -> None:
    """Streams that are being opened at this moment are not counted yet: a few more than the limit may come through."""
    room = services.room_for(caller.organization_id)
    if room is Room.FREE:
        return
    services.metrics.refuse(room)
    if room is Room.ORGANIZATION_FULL:
        most = services.most_streams(caller.organization_id)
        raise OrganizationStreamsFull(
            f"Your organization has {most} streams open at this gateway, which is the limit; close one, or"
            " follow several subjects over one GET /v1/events."
        )
    raise StreamsFull("This gateway has as many streams open as it may; try again, another one may have room.")
