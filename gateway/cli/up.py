"""Start everything on this machine: Postgres, the gateway and a worker; Ctrl-C stops it all.

Postgres comes from a wheel and keeps its data in --data-dir, unless --database-url names a server of yours, whose user
must own its database. The API key that is printed is good until this stops. Applications on this machine may be called
(GATEWAY_OUTBOUND_ALLOW is 127.0.0.0/8,::1/128 unless it is set).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gateway.cli.failures import ExitStatus
from gateway.cli.plain_text import say
from gateway.cli.stack import Stack, StackOptions, add_stack_arguments, running_stack
from gateway.cli.stop_signals import Stopped, StopSignals
from gateway.embedded.postgres import default_data_dir
from workerapp.contract.logs import configure_logging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--database-url", metavar="URL", help="use this Postgres instead of one of our own")
    add_stack_arguments(parser)
    parser.add_argument("--organization", default="default", metavar="NAME", help="whose key it is (default: default)")
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON when ready: url, api_key, organization_id"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run until asked to stop."""
    configure_logging("WARNING", "text")
    options = StackOptions(
        purpose="up",
        organization=arguments.organization,
        database_url=arguments.database_url,
        data_dir=_absolute(arguments.data_dir or default_data_dir()),
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        concurrency=arguments.concurrency,
    )
    try:
        with StopSignals() as signals, running_stack(options, signals) as stack:
            _announce(stack, options, as_json=arguments.json)
            stack.supervisor.wait(lambda: False)
    except Stopped:
        pass
    return ExitStatus.OK


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


def _announce(stack: Stack, options: StackOptions, *, as_json: bool) -> None:
    if as_json:
        ready = {"url": stack.url, "api_key": stack.api_key, "organization_id": str(stack.organization_id)}
        say(json.dumps(ready))
        return
    data = f"The data stays in {options.data_dir}." if options.database_url is None else ""
    print(
        f"The gateway is ready.\n  URL           {stack.url} (in a browser: the dashboard, with this key)\n"
        f"  API key       {stack.api_key}\n"
        f"  Organization  {options.organization} ({stack.organization_id})\nCtrl-C stops it. {data}",
        flush=True,
    )
