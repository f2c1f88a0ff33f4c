"""A name server under a test's control."""

from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult


class ScriptedNames(AbstractResolver):
    """Every look-up, of whatever name, gives the next addresses."""

    def __init__(self, *script: list[str]) -> None:
        self.script = list(script)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in self.script.pop(0)
        ]

    async def close(self) -> None:
        pass


def script_names(monkeypatch: pytest.MonkeyPatch, *script: list[str]) -> ScriptedNames:
    """Let whatever calls out from now on ask this name server instead of the system's."""
    names = ScriptedNames(*script)
    monkeypatch.setattr("workerapp.execution.guard.ThreadedResolver", lambda: names)
    return names
