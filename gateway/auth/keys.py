"""API keys: their form, and what they let their holders do."""

from __future__ import annotations

import hashlib
import secrets
import string
from dataclasses import dataclass
from enum import StrEnum

MARK = "tsg_"
SECRET_BYTES = 32
PREFIX_LENGTH = 8

_ALPHABET = string.digits + string.ascii_letters


class Scope(StrEnum):
    """What a key lets its holder do."""

    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    TASKS_SUBMIT = "tasks:submit"
    EVENTS_READ = "events:read"
    WEBHOOKS_MANAGE = "webhooks:manage"
    KEYS_MANAGE = "keys:manage"
    #: Everything under `/v1/admin`, which crosses organizations: for operators, never given unasked.
    ADMIN = "admin"


#: All that stays within the key's organization.
TENANT_SCOPES = tuple(scope for scope in Scope if scope is not Scope.ADMIN)
#: What a key gets that asks for nothing else.
DEFAULT_SCOPES = (Scope.RUNS_READ, Scope.RUNS_WRITE, Scope.TASKS_SUBMIT, Scope.EVENTS_READ)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSecret:
    """A key in the clear, which nobody can show again, and what is stored of it."""

    secret: str
    prefix: str
    hash: bytes


def new_secret() -> NewSecret:
    """Draw a key of 256 random bits: `tsg_`, eight characters to recognize it by, and the secret."""
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_LENGTH))
    secret = f"{MARK}{prefix}_{_base62(secrets.token_bytes(SECRET_BYTES))}"
    return NewSecret(secret=secret, prefix=prefix, hash=hash_of(secret))


def hash_of(secret: str) -> bytes:
    """What is stored and looked up; the secret has too many random bits for a slow hash to add anything."""
    return hashlib.sha256(secret.encode()).digest()


def _base62(value: bytes) -> str:
    number, digits = int.from_bytes(value), ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
