"""An identity provider that a test steers: it publishes its keys, and makes tokens, good ones and others."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "gateway"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A private key, under the id that it is published with."""

    id: str
    algorithm: str
    private: Any = field(repr=False)

    def as_jwk(self) -> dict[str, Any]:
        """The public part."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        public: dict[str, Any] = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {key: value for key, value in public.items() if key != "key_ops"} | {"kid": self.id, "use": "sig"}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A token; `header` adds to its header, or takes out of it what is None."""
        named = {"kid": self.id} | header
        headers = {name: value for name, value in named.items() if value is not None}
        return jwt.encode(claims, self.private, self.algorithm, headers=headers)


@cache
def signing_key(key_id: str, algorithm: str = "ES256") -> SigningKey:
    """Always the same one for an id: to make keys for RSA takes long."""
    if algorithm.startswith(("RS", "PS")):
        private: Any = rsa.generate_private_key(65537, 2048)
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}[algorithm])
    return SigningKey(id=key_id, algorithm=algorithm, private=private)


def unsigned(claims: dict[str, Any], **header: Any) -> str:
    """A token that nobody has signed."""
    parts = [json.dumps(part).encode() for part in ({"typ": "JWT", "alg": "none"} | header, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])


@dataclass(kw_only=True)
class IdentityProvider:
    """What it publishes, and how; changes count at once."""

    keys: list[SigningKey]
    url: str = ""
    #: What it answers instead, by path.
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    is_down: bool = False
    #: Closed, it lets everybody wait.
    gate: threading.Event = field(default_factory=threading.Event)
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def issuer(self) -> str:
        return f"{self.url}/"

    def settings(self, **others: Any) -> dict[str, Any]:
        """One of `GATEWAY_JWT_ISSUERS`."""
        return {"issuer": self.issuer, "audience": AUDIENCE} | others

    def claims(self, organization_id: UUID | str, /, **others: Any) -> dict[str, Any]:
        """Those of a good token that lasts a minute; `others` adds to them, or takes out of them what is None."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": AUDIENCE, "sub": "auth0|1", "iat": now, "exp": now + 60}
        given = (
            usual
            | {"organization_id": str(organization_id), "scope": "runs:read runs:write tasks:submit events:read"}
            | others
        )
        return {name: value for name, value in given.items() if value is not None}

    def token(self, organization_id: UUID | str, /, **claims: Any) -> str:
        """A good token, signed with the first key."""
        return self.keys[0].sign(self.claims(organization_id, **claims))

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked[path] += 1
        self.gate.wait(60)
        if self.is_down:
            return 503, b""
        documents: dict[str, Any] = {
            DISCOVERY: {"issuer": self.issuer, "jwks_uri": self.url + KEYS},
            KEYS: {"keys": [key.as_jwk() for key in self.keys]},
        }
        return self.answers.get(path) or (200, json.dumps(documents[path]).encode())


@contextmanager
def identity_provider(*keys: SigningKey) -> Iterator[IdentityProvider]:
    """Serve one."""
    provider = IdentityProvider(keys=list(keys or (signing_key("first"),)))
    provider.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = provider.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        provider.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield provider
        provider.gate.set()
        server.shutdown()
