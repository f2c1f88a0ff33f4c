"""Takes the pictures of docs/dashboard.md: `make screenshots`, with the recorded answers that GATEWAY_TEST_DATA names.

Every page, at the width of a desktop in light colours and of a phone in dark ones, of a deployment that is started for
it and has had something to do.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser

from gateway.auth.keys import Scope
from gateway.embedded.postgres import EmbeddedPostgres
from tests.acceptance.gsm8k import configure
from tests.acceptance.run_groups import compare_models
from tests.postgres import PostgresServer, ServerKind, copied_database, migrated_template
from tests.shared_data import shared_folder
from tests.stack.browser import running_browser
from tests.stack.client import Client, new_client
from tests.stack.dashboard import Dashboard, opened_dashboard
from tests.stack.services import Gateway, RecordedEndpoint, Worker

PICTURES = Path(__file__).parents[1] / "pictures" / "dashboard"
SLOW = ("--latency-ms", "60", "--jitter-ms", "240", "--error-every", "40")
TESTS = 1000
Scheme = Literal["light", "dark"]


@dataclass(frozen=True, kw_only=True)
class Width:
    """As wide as one sees it, and in which colours."""

    name: str
    size: tuple[int, int]
    scheme: Scheme


WIDTHS = (
    Width(name="desktop", size=(1280, 800), scheme="light"),
    Width(name="phone", size=(390, 800), scheme="dark"),
)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A page, and what has to be there before its picture is taken."""

    name: str
    path: str
    shows: str
    prepare: Callable[[Dashboard], Any] = lambda _: None


def main() -> None:
    """Take all of them."""
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    with deployment() as (client, endpoint), running_browser() as browser:
        for width in WIDTHS:
            take_sign_in(browser, client, width)
            take_live(browser, client, endpoint, width)
        shots = prepare(client, endpoint)
        for width in WIDTHS:
            take(browser, client, width, shots)
    print(f"{len(list(PICTURES.iterdir()))} pictures are in {PICTURES}.")  # noqa: T201 - a command


@contextmanager
def deployment() -> Iterator[tuple[Client, RecordedEndpoint]]:
    """A gateway, a worker and an application that answers, and who may do everything with them."""
    shared, folder = shared_folder(), Path(tempfile.mkdtemp(prefix="screenshots-"))
    folder.chmod(0o755)
    try:
        with (
            EmbeddedPostgres(folder / "data") as embedded,
            migrated_template(server := PostgresServer(ServerKind.EMBEDDED, embedded.address)) as template,
            copied_database(server, template) as database,
            RecordedEndpoint(shared, *SLOW) as endpoint,
            Gateway(database) as gateway,
            Worker(database, include=("workerapp.app",)),
            new_client(database, gateway.url, "Example Corp", [*Scope]) as client,
        ):
            yield client, endpoint
    finally:
        shutil.rmtree(folder)


def prepare(client: Client, endpoint: RecordedEndpoint) -> list[Shot]:
    """Give the deployment something to show, and say where that is."""
    group = compare_models(client, shared_folder(), endpoint.url, total=300)
    receiver = client.post("/v1/webhook-endpoints", {"url": endpoint.echo_url, "description": "Our chat"})
    settled = client.settled_group(group["run_group_id"], 120)
    run, baseline = settled["runs"][1]["test_run_id"], settled["runs"][0]["test_run_id"]
    for number in range(6):
        client.ended(client.submit("echo", f"message {number}"))
    counting = client.submit("count_slowly", 20)
    client.post(f"/v1/webhook-endpoints/{receiver['id']}/test", {})
    delivery = client.get("/v1/webhook-deliveries")["items"][-1]["id"]
    return [
        Shot(name="runs", path="/runs", shows="table.rows a"),
        Shot(name="run", path=f"/runs/{run}", shows=".result"),
        Shot(name="test", path=f"/runs/{run}", shows=".result", prepare=_open_test),
        Shot(name="comparison", path=f"/runs/{run}/compare/{baseline}", shows=".result", prepare=_open_first),
        Shot(name="groups", path="/groups", shows="table.rows a"),
        Shot(name="group", path=f"/groups/{group['run_group_id']}", shows=".result", prepare=_open_first),
        Shot(name="tasks", path="/tasks", shows="table.rows a"),
        Shot(name="task", path=f"/tasks/{counting}", shows="h1"),
        Shot(name="events", path="/events?from=earliest", shows="main details"),
        Shot(name="webhooks", path="/webhooks", shows="table.rows a"),
        Shot(name="webhook-endpoint", path=f"/webhooks/{receiver['id']}", shows="table.rows a"),
        Shot(name="webhook-delivery", path=f"/deliveries/{delivery}", shows="table.rows"),
        Shot(name="admin", path="/admin", shows="table.rows"),
    ]


def take_sign_in(browser: Browser, client: Client, width: Width) -> None:
    with opened(browser, client, width) as dashboard:
        dashboard.page.goto(dashboard.origin)
        dashboard.page.get_by_role("button", name="Sign in").wait_for()
        keep(dashboard, "sign-in", width)


def take_live(browser: Browser, client: Client, endpoint: RecordedEndpoint, width: Width) -> None:
    """A run when a little more than half of its tests have ended."""
    configuration = configure(client, shared_folder(), endpoint.url, total=TESTS, concurrency=20, name="gsm8k on 6b")
    with opened(browser, client, width) as dashboard:
        dashboard.sign_in(client.key)
        run_id = client.execute(configuration)
        dashboard.open(f"/runs/{run_id}")
        dashboard.page.wait_for_function(
            """most => {
                const figures = [...document.querySelectorAll(".figure")];
                const figure = (name) => figures.find((one) => one.querySelector("dt").textContent === name);
                const number = (name) => Number(figure(name)?.querySelector("dd").textContent.replace(",", ""));
                return number("Passed") > 0 && number("Pending") < most;
            }""",
            arg=TESTS * 0.4,
        )
        keep(dashboard, "run-live", width)
    client.settled(run_id, 120)


def take(browser: Browser, client: Client, width: Width, shots: list[Shot]) -> None:
    with opened(browser, client, width) as dashboard:
        dashboard.sign_in(client.key)
        for shot in shots:
            dashboard.open(shot.path)
            dashboard.page.locator(shot.shows).first.wait_for()
            shot.prepare(dashboard)
            keep(dashboard, shot.name, width)


def opened(browser: Browser, client: Client, width: Width) -> Any:
    return opened_dashboard(browser, client.url, size=width.size, scheme=width.scheme, reduced_motion="reduce")


def keep(dashboard: Dashboard, name: str, width: Width) -> None:
    dashboard.page.screenshot(path=PICTURES / f"{name}-{width.name}.png")


def _open_first(dashboard: Dashboard) -> None:
    dashboard.page.locator(".result summary").first.click()


def _open_test(dashboard: Dashboard) -> None:
    dashboard.page.locator(".grid canvas").press("ArrowRight")
    dashboard.page.locator(".grid canvas").press("Enter")
    dashboard.page.locator("dialog pre").first.wait_for()


if __name__ == "__main__":
    main()
