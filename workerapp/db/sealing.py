"""Secrets at rest: sealed with the newest key, opened with any of them, and only in the place they were sealed for.

What is stored, AES-256-GCM (NIST SP 800-38D) with the place as associated data:

    1 byte    version
    8 bytes   id of the key
    12 bytes  nonce, random
    the rest  the text and 16 bytes of tag
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
KEY_BYTES = 32
ID_BYTES = 8
NONCE_BYTES = 12
#: What tells the key: the version and the key's id.
MARK_BYTES = len(VERSION) + ID_BYTES

_ENDPOINT = "endpoint.sealed_headers"
_WEBHOOK_SECRETS = "webhook_endpoint.sealed_secrets"
_WEBHOOK_HEADERS = "webhook_endpoint.sealed_headers"


class SealingUnavailable(Exception):
    """There is no key to seal or open with, or it does not open here; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a secret is stored: copied into another row, or to another organization, it does not open."""

    column: str
    organization_id: UUID
    row_id: UUID

    def associated(self) -> bytes:
        """The same for the same place only."""
        return f"{self.column} {self.organization_id} {self.row_id}".encode()


def endpoint_place(organization_id: UUID, endpoint_id: UUID) -> Place:
    """Where an endpoint's secrets are stored."""
    return Place(column=_ENDPOINT, organization_id=organization_id, row_id=endpoint_id)


def webhook_secrets_place(organization_id: UUID, webhook_endpoint_id: UUID) -> Place:
    """Where what signs a webhook's deliveries is stored."""
    return Place(column=_WEBHOOK_SECRETS, organization_id=organization_id, row_id=webhook_endpoint_id)


def webhook_headers_place(organization_id: UUID, webhook_endpoint_id: UUID) -> Place:
    """Where the headers of a webhook's deliveries are stored."""
    return Place(column=_WEBHOOK_HEADERS, organization_id=organization_id, row_id=webhook_endpoint_id)


class Sealer:
    """Seals text with the first of its keys; the others still open what they sealed before."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        """Take url-safe base64 keys of 32 bytes, newest first.

        Raises:
            ValueError: a key has another form.
        """
        secrets = [_decode(key) for key in keys]
        self._keys = {_id_of(secret): AESGCM(secret) for secret in secrets}

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys, which tell nothing of them, the newest first."""
        return tuple(key_id.hex() for key_id in self._keys)

    @property
    def mark(self) -> bytes:
        """What all that is sealed with the newest key begins with.

        Raises:
            SealingUnavailable: there is no key.
        """
        return VERSION + self._newest()

    def seal(self, secret: str, place: Place) -> bytes:
        """The secret as it is stored in this place.

        Raises:
            SealingUnavailable: there is no key.
        """
        mark, nonce = self.mark, os.urandom(NONCE_BYTES)
        return mark + nonce + self._keys[self._newest()].encrypt(nonce, secret.encode(), mark + place.associated())

    def open(self, sealed: bytes, place: Place) -> str:
        """The secret that is stored in this place.

        Raises:
            SealingUnavailable: its key is not among ours, or it was not sealed for this place.
        """
        self._newest()
        mark, nonce, rest = (
            sealed[:MARK_BYTES],
            sealed[MARK_BYTES:][:NONCE_BYTES],
            sealed[MARK_BYTES + NONCE_BYTES :],
        )
        if mark[: len(VERSION)] != VERSION or len(nonce) < NONCE_BYTES:
            raise SealingUnavailable("This secret was stored in a form that is not known; store it anew")
        key = self._keys.get(mark[len(VERSION) :])
        if key is None:
            raise SealingUnavailable(
                f"None of the keys in GATEWAY_SECRET_KEYS opens this secret, which the key {key_id_of(sealed)} sealed; "
                "keep the key it was stored with in the list"
            )
        try:
            return key.decrypt(nonce, rest, mark + place.associated()).decode()
        except InvalidTag:
            raise SealingUnavailable("This secret was sealed for another place, or changed since") from None

    def _newest(self) -> bytes:
        for key_id in self._keys:
            return key_id
        raise SealingUnavailable("Storing secrets needs GATEWAY_SECRET_KEYS; `gateway keys secret` prints a new key.")


def key_id_of(sealed: bytes) -> str:
    """The id of the key that sealed it."""
    return sealed[len(VERSION) : MARK_BYTES].hex()


def new_key() -> str:
    """Make a random key, as text for the setting."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def _decode(key: str) -> bytes:
    secret = base64.b64decode(key, altchars=b"-_", validate=True)
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return secret


def _id_of(secret: bytes) -> bytes:
    return hashlib.sha256(b"id of a secret key: " + secret).digest()[:ID_BYTES]
