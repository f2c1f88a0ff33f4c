"""`python -m tests.bench.dashboard`: what it costs a browser to follow a large run, and how smooth its page is.

Next to it stands a bare page that reads the same stream and draws nothing. Rounds of both take turns.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page
from rich.console import Console
from rich.table import Table

from tests.bench.__main__ import LONG_WAITS, FastEndpoint, _server
from tests.bench.ours import Deployment, configure
from tests.postgres import copied_database, migrated_template
from tests.stack.browser import running_browser
from tests.stack.client import Client, new_client
from tests.stack.dashboard import Dashboard
from tests.stack.services import Gateway, Worker, free_port

PATIENCE_MS = 300_000
FRAMES = """() => {
    window.frames_ = []; window.longest = 0;
    new PerformanceObserver((list) => list.getEntries().forEach(({duration}) => {
        window.longest = Math.max(window.longest, duration);
    })).observe({entryTypes: ["longtask"]});
    let before = performance.now();
    const frame = (now) => { window.frames_.push(now - before); before = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
}"""
#: Reads a stream to its end and parses what it tells.
BARE = """async ([path, key]) => {
    const response = await fetch(path, {headers: {Accept: "text/event-stream", Authorization: `Bearer ${key}`}});
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", seen = 0;
    for (;;) {
        const {done, value} = await reader.read();
        if (done) return seen;
        const lines = (rest + value).split("\\n");
        rest = lines.pop();
        for (const line of lines) if (line.startsWith("data: ")) seen += JSON.parse(line.slice(6)).seq > 0;
    }
}"""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """How one page fared while the run went on."""

    #: Of the page's main thread.
    busy_seconds: float
    script_seconds: float
    run_seconds: float
    frame_ms: float
    frame_p99_ms: float
    longest_task_ms: float


def main() -> None:
    """Measure, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=10_000, help="tests of a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    options = parser.parse_args()
    port = free_port()
    with (
        _server() as server,
        migrated_template(server) as template,
        copied_database(server, template) as database,
        Gateway(database) as gateway,
        Worker(database, include=("tests.bench.bench_tasks",), environment=LONG_WAITS),
        FastEndpoint(port),
        new_client(database, gateway.url, "measured") as client,
        running_browser() as browser,
    ):
        deployment = Deployment(client=client, admin_url=database.admin_url, endpoint_url=f"http://127.0.0.1:{port}/")
        configuration = configure(deployment, tests=options.tests, concurrency=100)
        pages = {"the dashboard": watch_dashboard, "a bare page": watch_bare}
        found: dict[str, list[Watched]] = {name: [] for name in pages}
        for _ in range(options.rounds):
            for name, watch in pages.items():
                found[name].append(_watched(browser, client, configuration, watch))
        show(options.tests, found)


def _watched(browser: Browser, client: Client, configuration: str, watch: Any) -> Watched:
    # The bare page stands in the place of an answer whose policy lets nothing be fetched.
    with browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        session = context.new_cdp_session(page)
        session.send("Performance.enable")
        run_id = watch(page, client, lambda: client.execute(configuration))
        return _fared(session, page, client.run(run_id)["duration_seconds"])


def watch_dashboard(page: Page, client: Client, start: Any) -> str:
    """Follow a run on its page until that shows its end."""
    dashboard = Dashboard(page, client.url)
    dashboard.sign_in(client.key)
    page.evaluate(FRAMES)
    run_id = str(start())
    dashboard.open(f"/runs/{run_id}")
    page.get_by_role("button", name="Run again").wait_for()
    assert dashboard.figure("Pending").inner_text() == "0"
    return run_id


def watch_bare(page: Page, client: Client, start: Any) -> str:
    """Read the stream of a run to its end."""
    page.goto(f"{client.url}/healthz")
    page.evaluate(FRAMES)
    run_id = str(start())
    assert page.evaluate(BARE, [f"/v1/test-runs/{run_id}/events?after=0", client.key]) > 0
    return run_id


def _fared(session: CDPSession, page: Page, run_seconds: float) -> Watched:
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    frames = sorted(page.evaluate("window.frames_"))
    return Watched(
        busy_seconds=metrics["TaskDuration"],
        script_seconds=metrics["ScriptDuration"],
        run_seconds=run_seconds,
        frame_ms=statistics.median(frames),
        frame_p99_ms=frames[int(0.99 * (len(frames) - 1))],
        longest_task_ms=page.evaluate("window.longest"),
    )


def show(tests: int, found: dict[str, list[Watched]]) -> None:
    """Print a table of medians."""
    table = Table(title=f"a run of {tests} tests, followed live (medians of {len(next(iter(found.values())))})")
    table.add_column("")
    for name in found:
        table.add_column(name, justify="right")
    for field, said in {
        "run_seconds": "the run took, s",
        "busy_seconds": "main thread busy, s",
        "script_seconds": "of which scripts, s",
        "frame_ms": "frame, median ms",
        "frame_p99_ms": "frame, 99th percentile ms",
        "longest_task_ms": "longest task, ms",
    }.items():
        table.add_row(said, *(f"{_median(watched, field):.2f}" for watched in found.values()))
    Console().print(table)


def _median(watched: Sequence[Watched], field: str) -> float:
    return statistics.median(getattr(one, field) for one in watched)


if __name__ == "__main__":
    main()
