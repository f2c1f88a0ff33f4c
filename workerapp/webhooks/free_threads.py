"""Threads for what blocks, one for each call: whatever hangs holds up no other call, nor the end of the process.

Names of receivers that are gone may take half a minute each to be looked up, and nothing can interrupt that.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class FreeThreads(ThreadPoolExecutor):
    """Has no queue and no pool. An event loop takes none but subclasses of this class for its default executor."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        Thread(target=_run, args=(future, fn, args, kwargs), name="free", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, **_: Any) -> None:  # noqa: FBT001, FBT002 - as inherited
        """Wait for nobody."""


def _run(future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
