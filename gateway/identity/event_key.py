"""The public half of the key that signs our events and assertions, as other parties are given it."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

ALGORITHM = "ES256"

_COORDINATE_BYTES = 32


def jwk_set(key: EllipticCurvePublicKey) -> Mapping[str, Any]:
    """The JWK Set (RFC 7517) with this key."""
    return {"keys": [{**_members(key), "kid": key_id(key), "use": "sig", "alg": ALGORITHM}]}


def key_id(key: EllipticCurvePublicKey) -> str:
    """The name of a key: its thumbprint (RFC 7638), so another key never has the same."""
    members = json.dumps(_members(key), sort_keys=True, separators=(",", ":"))
    return _encoded(hashlib.sha256(members.encode()).digest())


def _members(key: EllipticCurvePublicKey) -> Mapping[str, str]:
    numbers = key.public_numbers()
    x, y = (_encoded(number.to_bytes(_COORDINATE_BYTES, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
