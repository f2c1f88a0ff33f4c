"""Start everything, and run a bundled test suite against a bundled AI application; then stay up until Ctrl-C.

The suite has wrong answers and failing requests on purpose: its run ends as `partial`. With --exit the command ends
with the run; the exit status is then 0 if the outcome is the one the suite is written to have, and 1 if not.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import gateway.demo
from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.processes import Program
from gateway.cli.stack import Stack, StackOptions, add_stack_arguments, running_stack
from gateway.cli.stop_signals import Stopped, StopSignals
from gateway.embedded.postgres import default_data_dir
from gateway.stream.server import listen
from workerapp.contract.logs import configure_logging

SUITE = Path(gateway.demo.__file__).parent / "suite.yaml"
#: What the suite is written to end with.
EXPECTED = {"status": "partial", "total": 48, "passed": 36, "failed": 8, "errored": 4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_stack_arguments(parser)
    parser.add_argument("--exit", action="store_true", help="end with the run instead of staying up")


def execute(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    configure_logging("WARNING", "text")
    data_dir = (arguments.data_dir or default_data_dir().parent / "demo").expanduser().resolve()
    options = StackOptions(
        purpose="demo",
        organization="demo",
        database_url=None,
        data_dir=data_dir,
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        concurrency=arguments.concurrency,
        log_dir=data_dir,
        stop_seconds=6.0,
    )
    _say("Starting Postgres, the gateway, a worker and a small AI application …")
    try:
        with StopSignals() as signals, running_stack(options, signals) as stack:
            return _demonstrate(stack, stay=not arguments.exit)
    except Stopped:
        return ExitStatus.OK


def _demonstrate(stack: Stack, *, stay: bool) -> int:
    with closing(listen("127.0.0.1", 0)) as listener:
        application = f"http://127.0.0.1:{listener.getsockname()[1]}"
        environment = _environment(stack, application)
        stack.supervisor.start(_application(stack, listener, environment))
        _say(f"Running {SUITE.name} against {application} …")
        outcome = _run_suite(stack, environment)
        _say(f"{_summary(outcome)}\n\n  URL      {stack.url}\n  API key  {stack.api_key}")
        if stay:
            _say(_what_next(stack, outcome, application))
            stack.supervisor.wait(lambda: False)
    return ExitStatus.OK if _is_expected(outcome) else ExitStatus.FAILED


def _environment(stack: Stack, application: str) -> dict[str, str]:
    return {
        **stack.environment,
        "GATEWAY_URL": stack.url,
        "GATEWAY_API_KEY": stack.api_key,
        "GATEWAY_DEMO_URL": application,
    }


def _application(stack: Stack, listener: socket.socket, environment: Mapping[str, str]) -> Program:
    descriptor = listener.fileno()
    return Program(
        name="demo application",
        command=[sys.executable, "-m", "gateway.demo.application", "--fd", str(descriptor)],
        environment=environment,
        log=None if stack.log_dir is None else stack.log_dir / "application.log",
        inherits=(descriptor,),
    )


def _run_suite(stack: Stack, environment: Mapping[str, str]) -> dict[str, Any]:
    """What anybody would type, as a process of its own: `gateway run` shows the progress, and its object is read."""
    command = [sys.executable, "-m", "gateway.cli.main", "run", str(SUITE), "--json"]
    with tempfile.TemporaryFile() as output:
        stack.supervisor.run(Program(name="suite", command=command, environment=environment), output)
        output.seek(0)
        printed = output.read()
    if not printed:
        raise CommandFailed("the suite could not be run; the reason is above")
    outcome: dict[str, Any] = json.loads(printed)
    return outcome


def _is_expected(outcome: Mapping[str, Any]) -> bool:
    return all(outcome[name] == value for name, value in EXPECTED.items())


def _summary(outcome: Mapping[str, Any]) -> str:
    said = (
        "The run ended as {status}: {total} tests, {passed} passed, {failed} failed, {errored} errors "
        "(pass rate {pass_rate:.1%}).\n"
    ).format_map({**outcome, "pass_rate": outcome["pass_rate"] or 0})
    if _is_expected(outcome):
        return f"{said}This is the outcome the demo is written to have: the application has faults, and they are found."
    wanted = ", ".join(f"{name} {value}" for name, value in EXPECTED.items())
    return f"{said}This is not the outcome the demo is written to have ({wanted})."


def _what_next(stack: Stack, outcome: Mapping[str, Any], application: str) -> str:
    run = f"/v1/test-runs/{outcome['test_run_id']}"
    return f"""
The gateway stays up at {stack.url}; its logs are in {stack.log_dir}. Open it in a browser
to see this run on the dashboard, with the key above. Or try, in another terminal:

  export GATEWAY_URL={stack.url}
  export GATEWAY_API_KEY={stack.api_key}
  export GATEWAY_DEMO_URL={application}

  curl -H "Authorization: Bearer $GATEWAY_API_KEY" $GATEWAY_URL{run}
  curl -N -H "Authorization: Bearer $GATEWAY_API_KEY" "$GATEWAY_URL{run}/events?after=0"
  {Path(sys.argv[0]).resolve()} run {SUITE}

Ctrl-C stops everything."""


def _say(text: str) -> None:
    print(text, flush=True)
