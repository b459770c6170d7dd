"""How does a test mint tickets?"""

from __future__ import annotations

from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretBytes

from sockproxy.settings import TicketKey, Tickets

SHARED = b"0123456789abcdef0123456789abcdef"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).rstrip()

OLD = TicketKey(kid="old", algorithm="HS256", material=SecretBytes(SHARED))
NEW = TicketKey(kid="new", algorithm="EdDSA", material=SecretBytes(PUBLIC))
OPTIONS = Tickets(keys=(OLD, NEW))
NOW = 1_800_000_000.0


def claims(**more: Any) -> dict[str, Any]:
    """Return sound claims, changed by `more`; None takes one away."""
    all_of_them = {
        "sub": "alice",
        "aud": "sockproxy",
        "exp": NOW + 60,
        "jti": "one",
        **more,
    }
    return {name: value for name, value in all_of_them.items() if value is not None}


def mint(*, kid: str | None = "old", key: Any = SHARED, alg: str = "HS256", **more: Any) -> str:
    """Return a ticket."""
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**more), key, algorithm=alg, headers=headers)
