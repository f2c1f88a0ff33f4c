"""Secrets at rest: sealed with the newest key, opened with any of them."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class SealingUnavailable(Exception):
    """There is no key to seal or open with, or none of the keys fits; the message says what to set."""


class Sealer:
    """Seals text with the first of its keys; the others still open what they sealed before."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        """Take url-safe base64 keys of 32 bytes, newest first.

        Raises:
            ValueError: a key has another form.
        """
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    def seal(self, secret: str) -> bytes:
        return self._require().encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        try:
            return self._require().decrypt(sealed).decode()
        except InvalidToken as error:
            raise SealingUnavailable(
                "None of the keys in GATEWAY_SECRET_KEYS opens this secret; keep the key it was stored with in the list"
            ) from error

    def _require(self) -> MultiFernet:
        if self._fernet is None:
            raise SealingUnavailable(
                "Storing secrets needs GATEWAY_SECRET_KEYS; `gateway keys secret` prints a new key."
            )
        return self._fernet


def new_key() -> str:
    """Make a random key, as text for the setting."""
    return Fernet.generate_key().decode()
