"""Which metrics there are, and which an expression of PromQL asks for."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client import generate_latest

from gateway.metrics import Metrics
from gateway.stream.hub import Hub
from gateway.stream.settings import StreamSettings
from tests.exposition import families
from workerapp.metrics import WorkerMetrics

#: Of Prometheus itself, and of every process.
_ALWAYS = {"up", "process_open_fds", "process_max_fds", "process_cpu_seconds_total", "process_resident_memory_bytes"}
_OF_HISTOGRAMS = ("_bucket", "_count", "_sum")


@cache
def exposed() -> frozenset[str]:
    """What a gateway and a worker tell."""
    gateway = Metrics("1.2.3")
    gateway.watch(Hub(StreamSettings(), gateway.streams), StreamSettings())
    told = gateway.exposition().decode() + generate_latest(WorkerMetrics().registry).decode()
    return frozenset(families(told) | _ALWAYS)


def named(expression: str) -> set[str]:
    """The metrics of an expression; of a histogram's series the histogram."""
    bare = re.sub(r'"[^"]*"', "", expression)
    names = set(re.findall(r"\b(?:gateway|process)_[a-z_]+|\bup\b", bare))
    return {_family(name) for name in names}


def _family(name: str) -> str:
    for suffix in _OF_HISTOGRAMS:
        whole = name.removesuffix(suffix)
        if whole != name and f"{whole}" in exposed():
            return whole
    return name
