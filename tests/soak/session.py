"""One soak from its start to its report."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aiohttp

from tests.records import connect
from tests.rest import Tenant, add_tenant
from tests.soak.clients import OrganizationSocket, OrganizationStream, Poller, SubjectSocket, SubjectStream
from tests.soak.faults import Fault, Injector
from tests.soak.report import Report
from tests.soak.stack import Stack, running_stack
from tests.soak.truth import Difference, Stored, difference, left_behind, read_truth
from tests.soak.watcher import Access, Habits, Query, Watcher
from tests.soak.writer import NAMES, Writer, end_tasks, submit_tasks

#: What organization streams are asked for, in turn.
FILTERS: tuple[Query, ...] = (
    {},
    {"types": ["task.progress"]},
    {"task_name": [NAMES[0]], "status": ["STARTED", "JUDGING"]},
    {"types": ["task.succeeded", "task.failed", "task.revoked", "task.pending"]},
)
TASKS = 40


@dataclass(frozen=True, kw_only=True)
class Options:
    seed: int
    #: Writers go on until there are so many of each, and until everything was broken.
    events: int
    resumes: int
    #: How often each comes.
    faults: Mapping[Fault, int]
    organizations: int = 6
    writers: int = 18
    #: Followed in each organization.
    subjects: int = 4
    gateways: int = 2
    #: Seconds between two faults, at most.
    pause: float = 5
    #: Seconds that clients may take to the end when everything has happened.
    settle: float = 300
    habits: Habits = field(default_factory=Habits)
    #: At times they do not read for longer than a gateway waits for them.
    slow: Habits = field(default_factory=lambda: Habits(stays=6, stalls=8))


def soak(options: Options) -> Report:
    """Break things while clients read what writers write, then compare; keeps the folder of a soak that failed."""
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix=f"gwsoak-{options.seed}-"))
    folder.chmod(0o755)
    with running_stack(folder, gateways=options.gateways) as stack:
        report = asyncio.run(_Soak(stack, options).run())
        for gateway in stack.gateways:
            (folder / f"gateway-{gateway.port}.log").write_text(gateway.output())
    if report.is_good:
        shutil.rmtree(folder)
    else:
        print(f"what the gateways said last, and the database, are kept in {folder}")
    return report


class _Soak:
    def __init__(self, stack: Stack, options: Options) -> None:
        self._stack, self._options = stack, options
        self._chance = random.Random(options.seed)
        self._injector = Injector(stack, self._new_chance(), options.pause)
        self._tenants = [add_tenant(stack.database) for _ in range(options.organizations)]
        with connect(stack.address) as admin:
            tasks = {it.organization_id: submit_tasks(admin, it.organization_id, TASKS) for it in self._tenants}
        self._writers = list(self._make_writers(tasks))
        self._watchers = [it for tenant in self._tenants for it in self._make_watchers(tenant, tasks)]

    async def run(self) -> Report:
        began = time.monotonic()
        over = asyncio.Event()
        watching = [asyncio.create_task(watcher.run()) for watcher in self._watchers]
        writing = [asyncio.create_task(writer.run(over)) for writer in self._writers]
        await self._injector.inject(self._options.faults)
        while not _has_failed(watching + writing) and not await self._is_enough():  # noqa: ASYNC110 - rows signal nobody
            await asyncio.sleep(0.5)
        over.set()
        await asyncio.gather(*writing)
        rows, behind = await asyncio.to_thread(self._end)
        for watcher in self._watchers:
            watcher.expect(sum(map(watcher.wants, rows)))
        await asyncio.wait(watching, timeout=self._options.settle)
        problems = await self._problems(watching)
        return self._report(rows, behind, time.monotonic() - began, problems)

    async def _is_enough(self) -> bool:
        if self._resumes < self._options.resumes:
            return False
        return await asyncio.to_thread(self._count_events) >= self._options.events

    def _count_events(self) -> int:
        with connect(self._stack.address) as admin:
            row = admin.execute("SELECT count(*) FROM task_event").fetchone()
        assert row is not None
        return int(row[0])

    @property
    def _resumes(self) -> int:
        return sum(watcher.resumes for watcher in self._watchers)

    def _end(self) -> tuple[list[Stored], int]:
        with connect(self._stack.address) as admin:
            end_tasks(admin, [tenant.organization_id for tenant in self._tenants])
            return read_truth(admin), left_behind(admin)

    async def _problems(self, watching: Sequence[asyncio.Task[None]]) -> list[str]:
        found = [problem for watcher in self._watchers for problem in watcher.problems]
        for task in watching:
            if not task.done():
                task.cancel()
        ended = await asyncio.gather(*watching, return_exceptions=True)
        for watcher, end in zip(self._watchers, ended, strict=True):
            if end is not None:
                found.append(f"{_name(watcher)} with {watcher.told.count} events at {watcher.cursor} ended by {end!r}")
        async with aiohttp.ClientSession() as session:
            found += [
                f"{_name(watcher)} is not at the end behind {watcher.cursor}"
                for watcher in self._watchers
                if not await watcher.is_at_the_end(session)
            ]
        return found

    def _report(self, rows: Sequence[Stored], behind: int, seconds: float, problems: list[str]) -> Report:
        found = Difference()
        for watcher in self._watchers:
            own = difference(watcher.told, filter(watcher.wants, rows))
            found += own
            if own != Difference():
                problems.append(f"{_name(watcher)} {watcher.access.query}: {own}, {dict(watcher.ends)}")
        return Report(
            seed=self._options.seed,
            seconds=seconds,
            organizations=len(self._tenants),
            watchers=Counter(map(_name, self._watchers)),
            events=len(rows),
            rolled_back=sum(writer.rolled_back for writer in self._writers),
            left_behind=behind,
            deliveries=sum(watcher.deliveries for watcher in self._watchers),
            resumes=self._resumes,
            ends=sum((watcher.ends for watcher in self._watchers), Counter()),
            faults=self._injector.injected,
            fault_log=self._injector.log,
            difference=found,
            problems=problems,
        )

    def _new_chance(self) -> random.Random:
        return random.Random(self._chance.getrandbits(64))

    def _make_writers(self, tasks: Mapping[UUID, Sequence[str]]) -> Iterator[Writer]:
        """Some write to one organization, some to all of them in one transaction."""
        everything = [(organization_id, task) for organization_id, ids in tasks.items() for task in ids]
        for number in range(self._options.writers):
            organization_id = self._tenants[number % len(self._tenants)].organization_id
            own = [(organization_id, task) for task in tasks[organization_id]]
            mixes = number >= len(self._tenants) and number % 3 == 0
            yield Writer(self._stack.address, everything if mixes else own, self._new_chance())

    def _make_watchers(self, tenant: Tenant, tasks: Mapping[UUID, Sequence[str]]) -> Iterator[Watcher]:
        usual, slow, chance = self._options.habits, self._options.slow, self._new_chance
        for number, query in enumerate(FILTERS):
            access = self._access(tenant, query)
            yield OrganizationStream(access, chance(), usual)
            if number < 2:
                yield OrganizationStream(access, chance(), slow)
                yield OrganizationSocket(access, chance(), (usual, slow)[number])
                yield Poller(access, chance(), usual)
        for number, task_id in enumerate(tasks[tenant.organization_id][: self._options.subjects]):
            kind = (SubjectStream, SubjectStream, SubjectSocket)[number % 3]
            habits, after = (usual, usual, usual, slow)[number % 4], (None, "0")[number % 2]
            yield kind(self._access(tenant, {}), task_id, chance(), habits, after=after)

    def _access(self, tenant: Tenant, query: Query) -> Access:
        headers = {"Authorization": f"Bearer {tenant.secret}"}
        return Access(urls=self._stack.urls, organization_id=tenant.organization_id, headers=headers, query=query)


def _has_failed(tasks: Sequence[asyncio.Task[None]]) -> bool:
    return any(task.done() and task.exception() for task in tasks)


def _name(watcher: Watcher) -> str:
    return type(watcher).__name__
