"""Which process of the suite runs which tests: those that share what takes long to make run in one, in a row."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]
#: A module in which one of these stands shares a deployment, a database or programs among its tests.
SHARING = ('scope="module"', "module_database", "module_gateway")


class SharedModules(LoadScopeScheduling):
    """Gives the tests of a module that shares something to one process, and all others to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if shares(path) else nodeid


@cache
def shares(path: str) -> bool:
    """Whether the tests of a module share what takes seconds to make; those of a whole deployment always do."""
    return "acceptance" in Path(path).parts or any(word in (ROOT / path).read_text() for word in SHARING)


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedModules:
    """Whatever `--dist` says."""
    return SharedModules(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """After the tests were put into any order, those for one parameter of a shared fixture come together again.

    What takes long by itself begins before the rest.
    """
    yield
    place = {module: number for number, module in enumerate(dict.fromkeys(item.path for item in items))}
    items.sort(key=lambda item: ("acceptance" not in item.path.parts, place[item.path], _made_for(item)))


def _made_for(item: pytest.Item) -> str:
    return str(getattr(getattr(item, "callspec", None), "params", {}).get("deployment", ""))
