"""Run a test suite against an AI application, watch it, and exit with its outcome.

The exit status is 0 when the run is `completed` (every test was executed and judged) and at least --min-pass-rate of
the judged tests passed; 1 when not; 2 when the suite or the call is wrong; 3 when the server cannot be reached or does
not answer as a gateway; 130 after Ctrl-C, which leaves the run going on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from gateway.cli.interruption import Farewell, ending_at_once
from gateway.cli.outcome import as_json, exit_status, print_flaky, print_problems, print_summary
from gateway.cli.plain_text import say
from gateway.cli.progress import display_on
from gateway.cli.run_options import add_option_arguments, read_options
from gateway.cli.server import add_server_arguments, talking
from gateway.cli.submission import SubmittedRun, submit
from gateway.cli.suite import load_suite
from gateway.cli.watching import watch_run
from gateway.client import SyncGatewayClient

#: Where there is no terminal to measure, logs are wide.
_LOG_WIDTH = 140


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("suite", type=Path, metavar="SUITE.yaml", help="the suite file")
    add_server_arguments(parser)
    parser.add_argument(
        "--min-pass-rate", type=_rate, default=0.0, metavar="RATE", help="from 0 to 1, for example 0.95 (default: 0)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout, everything else on stderr"
    )
    parser.add_argument("--show", type=_count, default=20, metavar="N", help="show this many problems (default: 20)")
    add_option_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Submit, watch, tell."""
    with ending_at_once() as farewell:
        farewell.on_stderr = options.json
        return _execute(options, farewell)


def _execute(options: argparse.Namespace, farewell: Farewell) -> int:
    suite, overrides = load_suite(options.suite), read_options(options)
    console = console_for(json_on_stdout=options.json)
    with talking(options) as client:
        run = submit(client, suite, overrides)
        farewell.text = _how_to_go_on(client, run)
        console.print(f"test run {run.id}: {run.tests} tests", highlight=False)
        with display_on(console, run.tests) as display:
            state = watch_run(client, run.subject, display.show)
        farewell.text = ""
        print_problems(console, client, run.subject, state, options.show)
        print_summary(console, state)
        if run.repeats > 1:
            print_flaky(console, client, run.subject)
    if options.json:
        say(json.dumps(as_json(state)))
    return exit_status(state, options.min_pass_rate)


def console_for(*, json_on_stdout: bool) -> Console:
    """Where people read: stdout, unless a program reads there."""
    console = Console(stderr=json_on_stdout, soft_wrap=False)
    return console if console.is_terminal else Console(stderr=json_on_stdout, width=_LOG_WIDTH)


def _how_to_go_on(client: SyncGatewayClient, run: SubmittedRun) -> str:
    command = f'curl -H "Authorization: Bearer $GATEWAY_API_KEY" {client.server}{run.subject.path}'
    return f"Stopped watching; the run goes on. Its state:\n  {command}\n"


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1; write 0.95 for 95 %")
    return rate


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return count
