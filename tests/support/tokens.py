"""Another party whose tokens count, with a key pair for each algorithm, and tokens that it signs."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from support.store import NOW

from gateway.core.security_event import LOGOUT, SESSION_REVOKED, Trust

ISSUER = "https://login.example"
AUDIENCE = "watchword-here"
TRUST = Trust(ISSUER, AUDIENCE, "sub", logout_age=300, event_age=86_400)

RSA_KEY = rsa.generate_private_key(65537, 2048)
PRIVATE: Mapping[str, Any] = {
    "RS256": RSA_KEY,
    "PS256": RSA_KEY,
    "ES256": ec.derive_private_key(7, ec.SECP256R1()),
    "ES384": ec.derive_private_key(7, ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.from_private_bytes(b"t" * 32),
}
"""By algorithm, which is also the `kid`."""


def jwk(algorithm: str, private: Any = None, **other: Any) -> dict[str, Any]:
    """A public key as its issuer publishes it; `other` are members that differ."""
    public = (private or PRIVATE[algorithm]).public_key()
    made: dict[str, Any] = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public))
    made.pop("key_ops", None)
    members = {**made, "kid": algorithm, "alg": algorithm, "use": "sig", **other}
    return {name: value for name, value in members.items() if value is not None}


def key_set(*keys: Mapping[str, Any]) -> str:
    """A JWK Set of these keys, or of ours for the algorithms that are taken by default."""
    return json.dumps({"keys": keys or [jwk("RS256"), jwk("ES256"), jwk("EdDSA")]})


def keys_in(folder: Path, *keys: Mapping[str, Any]) -> Path:
    file = folder / "keys-of-login.json"
    file.write_text(key_set(*keys))
    return file


def logout_claims(**other: Any) -> dict[str, Any]:
    """The claims of a logout token for ada; `other` are some that differ, or are None for missing."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(NOW),
        "jti": "logout-1",
        "sub": "ada",
        "events": {LOGOUT: {}},
    }
    return _without_none({**claims, **other})


def event_claims(**other: Any) -> dict[str, Any]:
    """The claims of an event about ada; `other` are some that differ, or are None for missing."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(NOW),
        "jti": "event-1",
        "sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": "ada"},
        "events": {SESSION_REVOKED: {"event_timestamp": int(NOW)}},
    }
    return _without_none({**claims, **other})


def signed(claims: object, typ: str | None, algorithm: str = "ES256", key: Any = None, **header: Any) -> str:
    """A token of these claims. `header` are further members, or some that differ, or are None for missing.

    Made by hand: PyJWT signs nothing that looks wrong.
    """
    members = _without_none({"alg": algorithm, "kid": algorithm, "typ": typ, **header})
    said = f"{part(members)}.{part(claims)}"
    signer = jwt.get_algorithm_by_name(algorithm)
    return f"{said}.{encoded(signer.sign(said.encode(), key or PRIVATE[algorithm]))}"


def part(value: object) -> str:
    """A part of a token: JSON in base64url."""
    return encoded(json.dumps(value).encode())


def encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def logout_token(**other: Any) -> str:
    return signed(logout_claims(**other), "logout+jwt")


def event_token(**other: Any) -> str:
    return signed(event_claims(**other), "secevent+jwt")


def _without_none(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}
