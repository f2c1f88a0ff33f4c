"""Who is watching: an API key as everywhere, or a token that opens streams and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Table, func, select
from starlette.requests import HTTPConnection

from gateway.auth import keys
from gateway.auth.authenticate import bearer_of, find_caller, require
from gateway.auth.key_watch import KeyWatch
from gateway.auth.stream_token import MARK, Grant, Member
from gateway.errors import KeyInUrl, KeyMissing, StreamTokenRefused, TokenExpired, TokenInvalid
from gateway.log_subjects import tell_log_of
from gateway.services import Services
from gateway.stream.hold import Hold
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.caller import Caller
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction

PARAMETER = "token"
#: What a browser offers instead of a header: `new WebSocket(url, ["gateway.v1", "token." + token])`.
SUBPROTOCOL = "gateway.v1"
TOKEN_SUBPROTOCOL = "token."  # noqa: S105 - a prefix

_TABLES: dict[SubjectKind, Table] = {
    SubjectKind.TASK: tables.task,
    SubjectKind.TEST_RUN: tables.test_run,
    SubjectKind.RUN_GROUP: tables.run_group,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamCaller:
    """An authenticated watcher; with a subject it may watch that one only, without one all of its organization."""

    caller: Caller
    subject: Subject | None = None
    #: When the time of the token is over that the caller's key has made.
    until: datetime | None = None

    def may_watch(self, subject: Subject) -> bool:
        """Whether the stream is open to this watcher, if it is the caller's; if not, answer as if there were none."""
        return self.subject in (None, subject)

    def holding(self, watch: KeyWatch) -> Hold:
        """What a stream of this watcher's asks to be told when the watcher may watch no longer."""
        return lambda end: watch.hold(self.caller, end, self.until)

    def of_organization(self) -> Caller:
        """The caller, if all of the organization's streams are open to this watcher.

        Raises:
            StreamTokenRefused: the token is for one subject.
        """
        if self.subject is not None:
            raise StreamTokenRefused(
                "This stream token opens the stream of what it was made for only; for the whole organization make a"
                " ticket with POST /v1/stream-tickets."
            )
        return self.caller


async def authenticate_stream(connection: HTTPConnection, services: Services) -> StreamCaller:
    """Who is watching, over HTTP or a WebSocket.

    Raises:
        KeyMissing: there is neither a key nor a token.
        KeyInUrl: an API key stands in the URL.
        KeyInvalid: nobody has this key any more, or ever had.
        TokenInvalid: the token was not made here, or its API key is good no more.
        TokenExpired: the token's time is over.
        JwtInvalid, OrganizationUnknown, IssuerUnavailable: the identity provider's token is not good, or not here.
        TooManyFailedAttempts: its address has failed too often.
        RateLimited: the organization or the key asks too often.
        ScopeMissing: the key, or the one that made the token, may not watch.
    """
    with services.failed_attempts.watch(connection, bearer_of(connection)):
        credential = _credential_of(connection)
        if credential.startswith(MARK):
            watcher = await _open(credential, services)
        else:
            watcher = StreamCaller(caller=await find_caller(credential, services))
    connection.state.organization_id = watcher.caller.organization_id
    tell_log_of(connection, watcher.caller)
    await services.request_limits.admit(connection, watcher.caller)
    require(watcher.caller, keys.Scope.EVENTS_READ)
    return watcher


def token_offered(subprotocols: Iterable[str]) -> str | None:
    """The token among the subprotocols that a WebSocket's client offers."""
    offered = (name.removeprefix(TOKEN_SUBPROTOCOL) for name in subprotocols if name.startswith(TOKEN_SUBPROTOCOL))
    return next(offered, None)


def _credential_of(connection: HTTPConnection) -> str:
    in_url = connection.query_params.get(PARAMETER)
    if in_url is not None and in_url.startswith(keys.MARK):
        raise KeyInUrl(
            "An API key was sent in the URL, where histories and logs keep it: revoke it. Send a new one in the header"
            ' "Authorization: Bearer tsg_…", or a stream token (tst_…) as ?token=.'
        )
    bearer = bearer_of(connection)
    if bearer is not None:
        return bearer
    is_websocket = connection.scope["type"] == "websocket"
    token = token_offered(connection.scope.get("subprotocols", ())) if is_websocket else in_url
    if token is None:
        where = f'as the subprotocol "{TOKEN_SUBPROTOCOL}tst_…"' if is_websocket else "as ?token=tst_…"
        raise KeyMissing(f'Send an API key in the header "Authorization: Bearer tsg_…", or a stream token {where}.')
    if not token.startswith(MARK):
        raise TokenInvalid("A stream token begins with tst_; submissions and POST /v1/stream-tickets answer them.")
    return token


async def _open(token: str, services: Services) -> StreamCaller:
    grant = await services.stream_tokens.open(token)
    caller = _of_member(grant.member) if grant.member is not None else await _of_key(grant, services)
    await _check_not_over(grant, caller, services)
    until = datetime.fromtimestamp(grant.expires_at, UTC)
    return StreamCaller(caller=caller, subject=grant.subject, until=until)


async def _of_key(grant: Grant, services: Services) -> Caller:
    caller = None if grant.key_id is None else await services.keys.find_by_id(grant.key_id)
    if caller is None:
        raise TokenInvalid("The API key that made this stream token is expired or revoked.")
    return caller


def _of_member(member: Member) -> Caller:
    """Whoever showed the token of an identity provider; that is not over before this one is."""
    scopes = {keys.Scope.EVENTS_READ} if member.may_watch else ()
    return Caller(organization_id=member.organization_id, scopes=frozenset(scopes))


async def _check_not_over(grant: Grant, caller: Caller, services: Services) -> None:
    if grant.subject is None:
        return
    table, grace = _TABLES[grant.subject.kind], services.settings.stream_token_grace_seconds
    is_over = select(table.c.finished_at < func.now() - timedelta(seconds=grace)).where(
        table.c.organization_id == caller.organization_id, table.c.id == _key_of(grant.subject)
    )
    async with tenant_transaction(services.engine, caller) as connection:
        if (await connection.execute(is_over)).scalar_one_or_none():
            raise TokenExpired(f"What this stream token was made for ended more than {grace:g} seconds ago.")


def _key_of(subject: Subject) -> Any:
    return subject.id if subject.kind is SubjectKind.TASK else UUID(subject.id)
