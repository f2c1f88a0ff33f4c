"""The form of a stream token: what it opens, until when, and a signature, as text that may stand in a URL.

`tst_` and, in base64url without padding:

    1 byte    version
    4 bytes   number of the signing key
    1 byte    what it opens: 0 every stream of the organization, 1 a task's, 2 a test run's, 3 a run group's
    1 byte    who made it: 0 an API key, 1 a member of the organization, 2 one that may watch streams
    16 bytes  id of the API key, or of the organization
    8 bytes   when it expires, in seconds since 1970
    the rest  id of the subject, in UTF-8; empty for 0
    32 bytes  HMAC-SHA256 of all that

Whoever holds a token can read these, and cannot change them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from uuid import UUID

from gateway.stream.subject import Subject, SubjectKind

MARK = "tst_"
VERSION = 2
#: A subject's id has 255 characters at most, of up to 4 bytes each.
MAX_LENGTH = 1600

_HEAD = struct.Struct(">BIBB16sQ")
_MAC_BYTES = 32
_KINDS = (None, SubjectKind.TASK, SubjectKind.TEST_RUN, SubjectKind.RUN_GROUP)
_OF_A_KEY, _OF_A_MEMBER, _OF_A_WATCHING_MEMBER = range(3)


class Malformed(Exception):
    """It is not a token of this form, or we did not sign it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs tokens, by its number."""

    id: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """Who made a token without an API key: whoever an identity provider said is of the organization."""

    organization_id: UUID
    may_watch: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What a token opens: one subject's stream, or every one of the organization; `expires_at` is a Unix time.

    It is an API key's or a member's.
    """

    key_id: UUID | None = None
    member: Member | None = None
    expires_at: int
    subject: Subject | None


@dataclass(frozen=True, slots=True)
class SignedGrant:
    """A token that was taken apart and whose signature is still to be checked."""

    signing_key_id: int
    _payload: bytes
    _mac: bytes

    def open(self, key: SigningKey) -> Grant:
        """What the token opens.

        Raises:
            Malformed: this key did not sign it.
        """
        if not hmac.compare_digest(_sign(self._payload, key), self._mac):
            raise Malformed
        _version, _signing_key_id, kind, maker, maker_id, expires_at = _HEAD.unpack_from(self._payload)
        key_id, member = _read_maker(maker, UUID(bytes=maker_id))
        return Grant(key_id=key_id, member=member, expires_at=expires_at, subject=self._subject(_KINDS[kind]))

    def _subject(self, kind: SubjectKind | None) -> Subject | None:
        return None if kind is None else Subject(kind, self._payload[_HEAD.size :].decode())


def write_token(grant: Grant, key: SigningKey) -> str:
    """The token in the clear."""
    kind, subject_id = (None, "") if grant.subject is None else (grant.subject.kind, grant.subject.id)
    maker, maker_id = _maker_of(grant)
    head = _HEAD.pack(VERSION, key.id, _KINDS.index(kind), maker, maker_id.bytes, grant.expires_at)
    payload = head + subject_id.encode()
    return MARK + _encode(payload + _sign(payload, key))


def parse_token(token: str) -> SignedGrant:
    """Take a token apart.

    Raises:
        Malformed: it has another form or version.
    """
    signed = _decode(token)
    payload, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
    if len(payload) < _HEAD.size or payload[0] != VERSION:
        raise Malformed
    return SignedGrant(_HEAD.unpack_from(payload)[1], payload, mac)


def _maker_of(grant: Grant) -> tuple[int, UUID]:
    if grant.member is not None:
        return (_OF_A_WATCHING_MEMBER if grant.member.may_watch else _OF_A_MEMBER), grant.member.organization_id
    assert grant.key_id is not None
    return _OF_A_KEY, grant.key_id


def _read_maker(maker: int, maker_id: UUID) -> tuple[UUID | None, Member | None]:
    if maker == _OF_A_KEY:
        return maker_id, None
    return None, Member(organization_id=maker_id, may_watch=maker == _OF_A_WATCHING_MEMBER)


def _sign(payload: bytes, key: SigningKey) -> bytes:
    return hmac.digest(key.secret, payload, hashlib.sha256)


def _encode(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")


def _decode(token: str) -> bytes:
    text = token.removeprefix(MARK)
    if text == token or len(token) > MAX_LENGTH or not token.isascii():
        raise Malformed
    try:
        signed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise Malformed from None
    # One token has one spelling: the spare bits of the last character are zero.
    if _encode(signed) != text:
        raise Malformed
    return signed
