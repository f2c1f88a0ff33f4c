"""Signs deliveries and verifies them, by the Standard Webhooks specification 1.0.0 with symmetric keys (`v1`).

What is signed, with HMAC-SHA256, are the delivery's id, its timestamp and its body, joined by dots.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
PREFIX = "whsec_"
FEWEST_BYTES, MOST_BYTES = 24, 64
NEW_BYTES = 32
#: How far a delivery's timestamp may be from the receiver's clock; libraries take five minutes, too.
TOLERANCE = timedelta(minutes=5)

_VERSION = "v1"


class SecretInvalid(ValueError):
    """The text is no secret of a webhook; the message says what one looks like, and does not repeat it."""


class VerificationFailed(Exception):
    """The delivery is not what its sender signed, or it is too old; the message says which."""


class Replaced(BaseModel):
    """A secret that was replaced, and signs beside the new one for a while."""

    model_config = ConfigDict(frozen=True)

    secret: str
    until: AwareDatetime


class WebhookSecrets(BaseModel):
    """What signs an endpoint's deliveries, as it is sealed."""

    model_config = ConfigDict(frozen=True)

    secret: str
    previous: tuple[Replaced, ...] = ()

    def valid(self, now: datetime) -> tuple[str, ...]:
        """Those that sign now, the newest first."""
        return (self.secret, *(replaced.secret for replaced in self.previous if replaced.until > now))

    def rotate(self, secret: str, now: datetime, overlap: timedelta) -> WebhookSecrets:
        """With another secret, beside which the present ones go on signing: this one for `overlap`."""
        kept = [replaced for replaced in self.previous if replaced.until > now and replaced.secret != secret]
        if overlap > timedelta(0) and self.secret != secret:
            kept.insert(0, Replaced(secret=self.secret, until=now + overlap))
        return WebhookSecrets(secret=secret, previous=tuple(kept))


def new_secret() -> str:
    """Make a random secret."""
    return PREFIX + base64.b64encode(os.urandom(NEW_BYTES)).decode()


def read_secret(secret: str) -> bytes:
    """The key in a secret.

    Raises:
        SecretInvalid: it has another form.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not FEWEST_BYTES <= len(key) <= MOST_BYTES:
        raise SecretInvalid(
            f"a secret is {PREFIX} followed by {FEWEST_BYTES} to {MOST_BYTES} random bytes in base64; leave it out,"
            " and one is made"
        )
    return key


def sign(secrets: Iterable[str], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: a signature by each of the secrets; `timestamp` in seconds since 1970."""
    return " ".join(f"{_VERSION},{_signature(secret, webhook_id, str(timestamp), body)}" for secret in secrets)


def verify(secrets: Iterable[str], headers: Mapping[str, str], body: bytes, *, now: datetime | None = None) -> None:
    """Check a delivery by any of the secrets; names of `headers` are looked up in lower case.

    Raises:
        VerificationFailed: it is not signed by any of them, or not from about now.
    """
    webhook_id, timestamp = headers.get(ID_HEADER), headers.get(TIMESTAMP_HEADER)
    given = headers.get(SIGNATURE_HEADER)
    if not webhook_id or not timestamp or not given:
        raise VerificationFailed(f"the headers {ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER} are needed")
    _check_time(timestamp, now or datetime.now(UTC))
    signatures = [
        part.removeprefix(f"{_VERSION},").encode() for part in given.split() if part.startswith(f"{_VERSION},")
    ]
    for secret in secrets:
        expected = _signature(secret, webhook_id, timestamp, body).encode()
        if any(hmac.compare_digest(expected, signature) for signature in signatures):
            return
    raise VerificationFailed("no signature is by this secret, or what was signed has been changed")


def _check_time(timestamp: str, now: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):  # noqa: PLR2004 - the year 33658
        raise VerificationFailed(f"{TIMESTAMP_HEADER} is not a number of seconds")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise VerificationFailed(f"{TIMESTAMP_HEADER} is more than {TOLERANCE.total_seconds():.0f} seconds from now")


def _signature(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(read_secret(secret), signed, hashlib.sha256).digest()).decode()
