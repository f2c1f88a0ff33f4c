"""How one description of an operation becomes a method of both clients, for readers as for type checkers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

_Method = TypeVar("_Method", bound=Callable[..., Any])


def signed(method: _Method, make: Callable[..., Any]) -> _Method:
    """The method with the name, the documentation and the parameters of what makes its request."""
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = inspect.signature(make).parameters.values()
    told: Any = method
    told.__name__, told.__doc__ = make.__name__, make.__doc__
    told.__signature__ = inspect.Signature([own, *parameters])
    return method
