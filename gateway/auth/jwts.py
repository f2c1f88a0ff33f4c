"""JSON Web Tokens of identity providers: finds the caller that a token speaks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.auth.issuer_documents import IssuerDocuments
from gateway.auth.issuer_keys import IssuerKeys, KeyRhythm
from gateway.auth.jwt_claims import Identity, as_uuid, identity_of
from gateway.auth.jwt_errors import JwtInvalid, OrganizationUnknown
from gateway.auth.jwt_issuer import JwtIssuer
from gateway.auth.jwt_verification import accepted_algorithm, read_head, verify
from gateway.auth.remembered_callers import RememberedCallers
from gateway.settings import GatewaySettings
from workerapp.contract.caller import Caller
from workerapp.db.tables import app_user, organization
from workerapp.db.tenant import tenant_transaction

_BY_NAME = text("SELECT organization_of_name(:name)")


@dataclass(frozen=True, kw_only=True, slots=True)
class JwtLimits:
    """The largest token that is looked at, and for how long and of how many the callers are remembered."""

    max_bytes: int
    cache_seconds: float
    cache_size: int


class Jwts:
    """Verifies tokens of the issuers that the operator has named."""

    def __init__(self, engine: AsyncEngine, issuers: Iterable[IssuerKeys], limits: JwtLimits) -> None:
        self._engine = engine
        self._issuers = {keys.issuer.issuer: keys for keys in issuers}
        self._limits = limits
        self._remembered = RememberedCallers(limits.cache_size)

    async def find(self, token: str) -> Caller:
        """Whose token it is.

        Raises:
            JwtInvalid: it is not a good one.
            OrganizationUnknown: it names no organization that there is.
            IssuerUnavailable: it cannot be checked at the moment.
        """
        self._check_size(token)
        caller = self._remembered.find(token)
        if caller is None:
            caller = await self._verify(token)
        return caller

    def has_met(self, token: str) -> bool:
        """Whether the token was good when it was last looked at here, and is still remembered."""
        return self._remembered.find(token) is not None

    async def close(self) -> None:
        """Stop fetching keys."""
        for keys in self._issuers.values():
            await keys.close()

    def _check_size(self, token: str) -> None:
        most = self._limits.max_bytes
        if len(token) > most:
            raise JwtInvalid(f"The token is longer than {most} bytes, and this server looks at none that is.")

    async def _verify(self, token: str) -> Caller:
        head = read_head(token)
        keys = self._issuers.get(head.issuer) if isinstance(head.issuer, str) else None
        if keys is None:
            raise self._issuer_refusal()
        key = await keys.find(head.key_id, accepted_algorithm(head, keys.issuer))
        identity = identity_of(verify(token, keys.issuer, key), keys.issuer)
        caller = await self._caller(identity, keys.issuer)
        left = (identity.expires_at - datetime.now(UTC)).total_seconds()
        self._remembered.remember(token, caller, min(self._limits.cache_seconds, left))
        return caller

    def _issuer_refusal(self) -> JwtInvalid:
        if not self._issuers:
            return JwtInvalid("This server accepts no JSON Web Tokens; send an API key (tsg_...).")
        return JwtInvalid("The token's issuer (iss) is none of those that this server accepts.")

    async def _caller(self, identity: Identity, issuer: JwtIssuer) -> Caller:
        organization_id = await self._organization_id(identity, issuer)
        tenant = Caller(organization_id=organization_id)
        mine = app_user.c.organization_id == organization_id
        user = select(app_user.c.id).where(mine, app_user.c.id == identity.user_id).scalar_subquery()
        found = select(user.label("user_id")).where(organization.c.id == organization_id).select_from(organization)
        async with tenant_transaction(self._engine, tenant) as connection:
            row = (await connection.execute(found)).one_or_none()
        if row is None:
            raise _no_such_organization(issuer)
        return Caller(
            organization_id=organization_id,
            user_id=row.user_id,
            subject=identity.subject,
            scopes=identity.scopes,
            expires_at=identity.expires_at,
        )

    async def _organization_id(self, identity: Identity, issuer: JwtIssuer) -> UUID:
        if issuer.organization_by == "id":
            found = as_uuid(identity.organization)
        else:
            async with self._engine.connect() as connection:
                found = (await connection.execute(_BY_NAME, {"name": identity.organization})).scalar_one()
        if found is None:
            raise _no_such_organization(issuer)
        return found


def _no_such_organization(issuer: JwtIssuer) -> OrganizationUnknown:
    return OrganizationUnknown(
        f"There is no organization with the {issuer.organization_by} that stands in the token's claim"
        f" {issuer.organization_claim}; the operator makes organizations."
    )


def make_jwts(settings: GatewaySettings, engine: AsyncEngine) -> Jwts:
    """What verifies tokens by these settings; an issuer is asked for its keys when a first token needs them."""
    seconds, size = settings.jwt_cache_seconds, settings.jwt_cache_size
    limits = JwtLimits(max_bytes=settings.jwt_max_bytes, cache_seconds=seconds, cache_size=size)
    rhythm = KeyRhythm(
        max_age=settings.jwt_keys_max_age_seconds,
        stale=settings.jwt_keys_stale_seconds,
        pause=settings.jwt_keys_pause_seconds,
    )
    time, most = settings.jwt_fetch_timeout_seconds, settings.jwt_fetch_max_bytes
    documents = [IssuerDocuments(issuer, seconds=time, max_bytes=most) for issuer in settings.jwt_issuers]
    return Jwts(engine, [IssuerKeys(each, rhythm) for each in documents], limits)
