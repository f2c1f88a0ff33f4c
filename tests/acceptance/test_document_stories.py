"""The pages are true: the commands and programs of each are run in their order, and say what it shows.

All pages share one `gateway up` in an empty folder, and one organization that has what they take for given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from gateway.cli.own_postgres import LOGIN
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.settings import load_gateway_settings
from tests.documents.assistant import assistant
from tests.documents.blocks import blocks_of, pages
from tests.documents.claims import Executor, executor_of
from tests.documents.curl import EXCHANGES
from tests.documents.estate import RESULT_TABLE, prepare
from tests.documents.exchange import check
from tests.documents.stand_in import DATA_FOLDER, FORKS, OWNER_URL, SAID, SERVING_URL
from tests.documents.story import Story
from tests.stack.client import Client
from tests.stack.commands import PATIENCE, Command
from tests.stack.forked import server
from tests.stack.process import OURS, ROOT
from workerapp.db.sealing import new_key

# A page is a story of up to twenty commands.
pytestmark = pytest.mark.timeout(300)

SECRET_KEY = new_key()
#: Workers tell at once what they are doing.
SETTINGS = {"GATEWAY_SECRET_KEYS": SECRET_KEY, "GATEWAY_REPORT_SECONDS": "0.3"}
README = "README.md"


def told(page: str) -> list[int]:
    """Which blocks of a page belong to its story."""
    blocks = blocks_of(page)
    above = (None, *blocks)
    found = [n for n, block in enumerate(blocks) if executor_of(block, above[n]) is Executor.STORY]
    return found if any(blocks[n].mark != "file" for n in found) else []


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What all stories happen on."""

    environment: dict[str, str]
    substitutions: dict[str, str]
    owner_url: str


@pytest.fixture(scope="module")
def stack(module_folder: Path) -> Iterator[Stack]:
    data = module_folder / "task-status-gateway" / "postgres"
    options = ("--port", "0", "--concurrency", "2", "--data-dir", data)
    with assistant() as assistant_url, Command("up", *options, environment=SETTINGS) as up:
        up.wait_for("Ctrl-C stops it", PATIENCE)
        said = up.lines("")
        url, key, organization = (
            up.wait_for(pattern)[1] for pattern in (r"URL +(\S+)", r"API key +(\S+)", r"Organization +\S+ \((\S+)\)")
        )
        owner_url = EmbeddedPostgres(data).address
        with psycopg.connect(owner_url) as connection:
            connection.execute(RESULT_TABLE)
        with Client(url, key, organization) as client:
            ids = prepare(client, assistant_url)
        serving_url = make_url(owner_url).set(username=LOGIN).render_as_string(hide_password=False)
        yield Stack(
            owner_url=owner_url,
            environment=ids
            | {
                "GATEWAY_URL": url,
                "GATEWAY_API_KEY": key,
                "GATEWAY_SECRET_KEYS": SECRET_KEY,
                "CELERY_WORKER_CONCURRENCY": "1",
                "ASSISTANT_TOKEN": "secret",
                "ASSISTANT_URL": assistant_url,
                "DATABASE_URL": serving_url,
                "OWNER_URL": owner_url,
                "RESTORED_URL": owner_url.replace("/gateway?", "/restored?"),
                OWNER_URL: owner_url,
                SERVING_URL: serving_url,
                DATA_FOLDER: str(data),
                FORKS: server(),
                SAID: "\n".join(said[said.index("The gateway is ready.") :]),
            },
            substitutions={
                "https://assistant.example.com/v1/chat/completions": assistant_url,
                "https://gateway.example.com": url,
                "http://127.0.0.1:8080": url,
                "<this repository>": str(ROOT),
                "PORT=8000": "PORT=0",
                "tsg_…": key,
                "whsec_…": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
                "0199f6a2-…": organization,
                "postgresql://owner@db/gateway": owner_url,
                "postgresql://user:password@host:5432/database": serving_url,
            },
        )


@pytest.mark.parametrize("page", [page for page in pages() if told(page)])
def test_a_page_tells_what_happens(page: str, stack: Stack, reachable_folder: Path) -> None:
    exchanges = reachable_folder / "exchanges"
    story = Story(
        folder=reachable_folder,
        environment=stack.environment | {EXCHANGES: str(exchanges)},
        substitutions=stack.substitutions,
        owner_url=stack.owner_url,
    )
    blocks = blocks_of(page)
    for block in blocks_of(README):
        if block.mark == "file":
            story.tell(block)
    mine = told(page)
    for number, block in enumerate(blocks):
        if number in mine or block.mark == "file":
            story.tell(block)
    accept_settings(story.environment)
    commands = "\n".join(blocks[number].text for number in mine)
    assert check(exchanges) >= len(re.findall(r"^(?:\$ )?curl ", commands, re.MULTILINE))


def accept_settings(environment: Mapping[str, str]) -> None:
    """A gateway starts with whatever a page has set."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            if name.startswith(OURS):
                patch.setenv(name, value)
        load_gateway_settings()
