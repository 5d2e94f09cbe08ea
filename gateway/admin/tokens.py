"""Operators' tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), made and judged here alone.

PyJWT proves the signature, by the one algorithm that is named here. Its checks of claims are off: it
reads the clock itself, and takes a list for an audience. `_judge` makes them, on a `now` from outside.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jwt

from gateway import entropy
from gateway.store.keyring import Seals

ISSUER = "watchword"
AUDIENCE = "watchword-operators"
LONGEST_TOKEN = 4096
"""Characters; what is longer is not looked at."""

_ALGORITHM = "EdDSA"
_HEADER = {"alg": _ALGORITHM, "typ": "JWT"}
_CLAIMS: Mapping[str, type] = {
    "iss": str,
    "aud": str,
    "sub": str,
    "scope": str,
    "iat": int,
    "exp": int,
    "jti": str,
}
_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_LEEWAY = 5.0
"""Seconds that the clocks of two nodes may be apart."""


class Scope(StrEnum):
    """What a token allows (RFC 6749 section 3.3). `reset` is for support, who let people in again."""

    READ = "read"
    REVOKE = "revoke"
    RESET = "reset"


class TokenFault(StrEnum):
    """Why a token does not count; the words complete "the token is"."""

    MISSING = "missing"
    MALFORMED = "malformed"
    FORGED = "not signed by this gateway"
    FOREIGN = "not meant for this API"
    NOT_YET_VALID = "not valid yet"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is asking, by the token `token_id`."""

    name: str
    scopes: frozenset[Scope]
    token_id: str


def issue_token(ring: Seals, name: str, scopes: frozenset[Scope], lifetime: float, now: float) -> str:
    """A token for the operator `name` that counts for `lifetime` seconds.

    Raises ValueError for a name that is not 1 to 64 letters, digits and `. _ @ + -`, for no scope at
    all, and for a lifetime under a second.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("an operator's name has 1 to 64 letters, digits and . _ @ + -")
    if not scopes or lifetime < 1:
        raise ValueError("a token needs a scope and a lifetime")
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": name,
        "scope": " ".join(sorted(scopes)),
        "iat": int(now),
        "exp": int(now + lifetime),
        "jti": entropy.identifier(),
    }
    return jwt.encode(claims, ring.operator_key(), algorithm=_ALGORITHM)


def verify_token(token: str, ring: Seals, now: float) -> Operator | TokenFault:
    """Whose token this is, or why it does not count."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        return TokenFault.MALFORMED
    try:
        decoded = jwt.decode_complete(
            token, ring.operator_key().public_key(), algorithms=[_ALGORITHM], options=_SIGNATURE_ONLY
        )
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
        return TokenFault.FORGED
    except jwt.PyJWTError:
        return TokenFault.MALFORMED
    if decoded["header"] != _HEADER:  # our own tokens name no key, no critical extension, nothing else
        return TokenFault.MALFORMED
    return _judge(decoded["payload"], now)


def _judge(claims: Mapping[str, Any], now: float) -> Operator | TokenFault:
    """What a signed token is worth now. Exactly the claims of `issue_token` count, in their own types."""
    if {name: type(value) for name, value in claims.items()} != _CLAIMS or not _NAME.fullmatch(claims["sub"]):
        return TokenFault.MALFORMED
    try:
        scopes = frozenset(map(Scope, claims["scope"].split(" ")))
    except ValueError:
        return TokenFault.MALFORMED
    if (claims["iss"], claims["aud"]) != (ISSUER, AUDIENCE):
        return TokenFault.FOREIGN
    if now < claims["iat"] - _LEEWAY:
        return TokenFault.NOT_YET_VALID
    if now >= claims["exp"] + _LEEWAY:
        return TokenFault.EXPIRED
    return Operator(claims["sub"], scopes, claims["jti"])
