"""The name under which all of this is installed, and its version."""

from __future__ import annotations

from importlib.metadata import version

DISTRIBUTION = "task-status-gateway"


def installed_version() -> str:
    """The version that is installed."""
    return version(DISTRIBUTION)
