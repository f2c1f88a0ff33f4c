"""The keys that an issuer signs with (JSON Web Key Set, RFC 7517), as far as they can be used here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from jwt import InvalidKeyError, PyJWK, PyJWKError

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeySet:
    """An issuer's keys: each once for every algorithm that it may be used with."""

    #: By the key's id, which it need not have, and the algorithm.
    keys: dict[tuple[str | None, str], PyJWK]

    def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """The key of this id; without an id the one for the algorithm, if there is just one."""
        if key_id is not None:
            return self.keys.get((key_id, algorithm))
        suitable = [key for (_, name), key in self.keys.items() if name == algorithm]
        return suitable[0] if len(suitable) == 1 else None

    def has(self, key_id: str) -> bool:
        """Whether there is a key of this id, for whichever algorithm."""
        return any(key_id == known for known, _ in self.keys)


def read_key_set(document: Json, algorithms: Sequence[str]) -> KeySet:
    """The keys that can be used with these algorithms; everything else that a set may have is passed over."""
    listed = document.get("keys")
    found: dict[tuple[str | None, str], PyJWK] = {}
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and _may_verify(one):
            found |= {(one.get("kid"), key.algorithm_name): key for key in _for_each_algorithm(one, algorithms)}
    return KeySet(found)


def _may_verify(key: Json) -> bool:
    """Whether it is a public key for signatures; one that is published with its private part proves nothing."""
    has_id = key.get("kid") is None or isinstance(key["kid"], str)
    return has_id and key.get("use", "sig") == "sig" and "d" not in key and key.get("kty") != "oct"


def _for_each_algorithm(key: Json, algorithms: Sequence[str]) -> Iterator[PyJWK]:
    """Bound to the algorithms that suit its type, its curve, its length and what it says itself."""
    for name in algorithms:
        if key.get("alg", name) != name:
            continue
        try:
            bound = PyJWK(key, name)
            is_short = bound.Algorithm.check_key_length(bound.Algorithm.prepare_key(bound.key))
        except (InvalidKeyError, PyJWKError, UnsupportedAlgorithm):
            continue
        if not is_short:
            yield bound
