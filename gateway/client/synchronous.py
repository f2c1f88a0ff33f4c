"""The synchronous client, on httpx.Client."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from typing import Any, Concatenate, ParamSpec, Self

import httpx

from gateway.client import calls
from gateway.client.calls import Answer, Call, Current, Listing
from gateway.client.errors import GatewayError, StreamUnavailable, unreachable
from gateway.client.following import Following, stream_of, stream_of_organization
from gateway.client.line import Line, request_options
from gateway.client.methods import signed
from gateway.client.models import Event, Item
from gateway.client.patience import Attempts, Patience
from gateway.client.polling import LONGEST, Polling
from gateway.client.subject import HasSubject

_P = ParamSpec("_P")


def _asked(
    make: Callable[_P, Call[Answer]],
) -> Callable[Concatenate[SyncGatewayClient, _P], Answer]:
    def method(self: SyncGatewayClient, /, *args: _P.args, **kwargs: _P.kwargs) -> Answer:
        return self.send(make(*args, **kwargs))

    return signed(method, make)


def _listed(
    make: Callable[_P, Listing[Item]],
) -> Callable[Concatenate[SyncGatewayClient, _P], Generator[Item, None, None]]:
    def method(self: SyncGatewayClient, /, *args: _P.args, **kwargs: _P.kwargs) -> Generator[Item, None, None]:
        return self.items(make(*args, **kwargs))

    return signed(method, make)


class SyncGatewayClient:
    """One server and one API key: those given, otherwise `GATEWAY_URL` and `GATEWAY_API_KEY` of the environment.

    Leave its `with` block to close the connections.

    Raises:
        AddressInvalid: of the server, or a key that is none.
    """

    def __init__(
        self, server: str | None = None, api_key: str | None = None, *, patience: Patience | None = None
    ) -> None:
        self._line = Line(server, api_key, patience or Patience())
        self._http = httpx.Client(**self._line.http_options())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.server}>"

    @property
    def server(self) -> str:
        """Its address."""
        return self._line.server

    submit_task = _asked(calls.submit_task)
    execute = _asked(calls.execute)
    execute_test_set = _asked(calls.execute_test_set)
    create_endpoint = _asked(calls.create_endpoint)
    create_test_set = _asked(calls.create_test_set)
    create_test_configuration = _asked(calls.create_test_configuration)
    create_metric = _asked(calls.create_metric)
    get = _asked(calls.get)
    get_task = _asked(calls.get_task)
    get_test_run = _asked(calls.get_test_run)
    get_run_group = _asked(calls.get_run_group)
    get_statistics = _asked(calls.get_statistics)
    cancel = _asked(calls.cancel)
    retry = _asked(calls.retry)
    rerun = _asked(calls.rerun)
    rescore = _asked(calls.rescore)
    list_tasks = _listed(calls.list_tasks)
    list_test_runs = _listed(calls.list_test_runs)
    list_run_groups = _listed(calls.list_run_groups)
    list_results = _listed(calls.list_results)
    list_endpoints = _listed(calls.list_endpoints)
    list_test_sets = _listed(calls.list_test_sets)
    list_test_configurations = _listed(calls.list_test_configurations)
    list_events = _listed(calls.list_events)

    def follow(
        self, followed: HasSubject[Any], after: str | None = "0", *, insists: bool = True
    ) -> Generator[Event, None, None]:
        """Every event of a task, run or group behind a cursor, to the last; with `after=None` a snapshot comes first.

        It resumes by itself when the connection breaks or the gateway is started anew: no event is missed, and none
        comes twice.

        Raises:
            StreamUnavailable: without `insists`, where the gateway gives no stream now.
            GatewayError: it cannot go on, or the server was away for longer than the patience.
        """
        return self._read(stream_of(self._line, followed, after, insists=insists))

    def follow_organization(
        self, after: str | None = None, **filters: str | Sequence[str]
    ) -> Generator[Event, None, None]:
        """Every event of the organization behind a cursor, without an end; `filters` as of `GET /v1/events`.

        Without `after` a snapshot comes first, and what happens from then on; `earliest` is the oldest event there is.
        It resumes as `follow` does, with the same errors.
        """
        return self._read(stream_of_organization(self._line, after, filters))

    def wait(self, followed: HasSubject[Current], within: float | None = None) -> Current:
        """How a task, run or group has ended; by its stream, or by asking again and again where there is none.

        Raises:
            WaitTimedOut: not `within` so many seconds.
            GatewayError: it cannot go on, or the server was away for longer than the patience.
        """
        began_at = time.monotonic()
        with suppress(StreamUnavailable):
            self._exhaust(stream_of(self._line, followed, None, insists=False, within=within))
        left = None if within is None else within - (time.monotonic() - began_at)
        states = list(self.poll(followed, within=left))
        return states[-1]

    def poll(
        self, followed: HasSubject[Current], every: float = LONGEST, within: float | None = None
    ) -> Generator[Current, None, None]:
        """How a task, run or group is, at least so often, to its end; for where there are no streams.

        Raises:
            WaitTimedOut: it has not ended `within` so many seconds.
            GatewayError: the answer is an error, or there is none.
        """
        polling = Polling(followed, every, within)
        while True:
            state = self.send(polling.call(), polling.outage(self._line.patience))
            yield state
            if state.is_final:
                return
            time.sleep(polling.pause(state))

    def items(self, listing: Listing[Item]) -> Generator[Item, None, None]:
        """What is in a list, read page by page."""
        call: Call[Any] | None = listing.first
        while call is not None:
            page = self.send(call)
            yield from listing.items(page)
            call = listing.next(page)

    def send(self, call: Call[Answer], outage: float | None = None) -> Answer:
        """Ask, and ask again while the server is away, for `outage` seconds if not for those of the patience.

        Raises:
            GatewayError: the answer is an error, or there is none.
        """
        attempts = Attempts(self._line.patience.outage if outage is None else outage, self._line.contact)
        while True:
            try:
                response = self._http.request(call.method, call.path, **request_options(call))
                return self._line.read(call, response)
            except httpx.RequestError as error:
                pause = attempts.pause_after(unreachable(self.server, error))
            except GatewayError as error:
                pause = attempts.pause_after(error)
            time.sleep(pause)

    def _exhaust(self, following: Following) -> None:
        with closing(self._read(following)) as events:
            for _ in events:
                pass

    def _read(self, following: Following) -> Generator[Event, None, None]:
        while not following.is_over():
            failure: GatewayError | None = None
            try:
                with self._http.stream(**following.request()) as response:
                    if following.accepts(response):
                        for chunk in response.iter_bytes():
                            yield from following.take(chunk)
                            if following.is_over():
                                return
                    elif not following.is_over():
                        response.read()
                        failure = following.refuse(response)
            except httpx.RequestError as error:
                failure = unreachable(self.server, error)
            if not following.is_over():
                time.sleep(following.pause(failure))
