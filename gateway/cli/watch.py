"""Watch runs, groups of runs and tasks to their end, or without any all that happens in your organization.

On a terminal each has a bar; elsewhere, and with --json, every event is printed as JSON on a line of its own, from the
first one there is. The exit status is 0 when all of them ended as `completed` or `SUCCESS`, and 1 when not.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from rich.console import Console
from rich.progress import TaskID

from gateway.cli.bars import Bars
from gateway.cli.event_filters import add_filter_arguments, read_filters
from gateway.cli.failures import ExitStatus, UsageInvalid
from gateway.cli.interruption import ending_at_once
from gateway.cli.plain_text import excerpt, say
from gateway.cli.server import add_json_argument, add_server_arguments, prints_json, read_server, telling
from gateway.client import Event, GatewayClient, NotFound, RunGroup, Task, TestRun

_REASON = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "ids", nargs="*", metavar="SUBJECT", help="the id of a run, a group or a task (default: all that happens)"
    )
    parser.add_argument(
        "--after", metavar="CURSOR", help="without a SUBJECT: where to go on; `earliest` is the oldest event there is"
    )
    add_filter_arguments(parser)
    add_server_arguments(parser)
    add_json_argument(parser)


def execute(options: argparse.Namespace) -> int:
    """Watch to the end."""
    with ending_at_once(), telling():
        return asyncio.run(_watch(options))


async def _watch(options: argparse.Namespace) -> int:
    server, as_json, filters = read_server(options), prints_json(options), read_filters(options)
    if options.ids and (filters or options.after):
        raise UsageInvalid("--after and the filters are for all that happens; leave them out, or SUBJECT")
    async with GatewayClient(server.url, server.api_key, patience=server.patience) as client:
        if options.ids:
            return await _watch_all(client, options.ids, as_json=as_json)
        async for event in client.follow_organization(options.after, **filters):
            say(event.model_dump_json() if as_json else _line(event))
    return ExitStatus.OK


async def _watch_all(client: GatewayClient, ids: Sequence[str], *, as_json: bool) -> int:
    found = {key: await _find(client, key) for key in ids}
    if as_json:
        await asyncio.gather(*(_print(client, one) for one in found.values()))
    else:
        with Bars(Console()) as bars:
            await asyncio.gather(*(_show(client, one, bars, bars.add(key)) for key, one in found.items()))
    ended = [await client.get(one) for one in found.values()]
    return ExitStatus.OK if all(one.is_good for one in ended) else ExitStatus.FAILED


async def _find(client: GatewayClient, key: str) -> TestRun | RunGroup | Task:
    for get in (client.get_test_run, client.get_run_group, client.get_task):
        try:
            return await get(key)
        except NotFound:
            continue
    raise UsageInvalid(f"there is no run, group or task {key}")


async def _print(client: GatewayClient, found: TestRun | RunGroup | Task) -> None:
    async for event in client.follow(found):
        say(event.model_dump_json())


async def _show(client: GatewayClient, found: TestRun | RunGroup | Task, bars: Bars, bar: TaskID) -> None:
    async for event in client.follow(found, after=None):
        bars.show(bar, event)


def _line(event: Event) -> str:
    at = event.at.astimezone().strftime("%H:%M:%S")
    said = " ".join(
        excerpt(value, _REASON) for name in ("status", "name", "reason") if (value := event.data.get(name)) is not None
    )
    return f"{at}  {event.type:<22}  {event.subject}  {said}".rstrip()
